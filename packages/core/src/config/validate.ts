// Checks the parsed file against the schema and says what is wrong in the file's own terms: key, value, what is
// allowed. One wrong key does not hide the others. Knows nothing of what the keys mean.
import { z } from "zod";
import { allowedText, knownNames, type SchemaNode, schemaAt } from "./allowed.js";
import type { KeyPath } from "./positions.js";
import { type Problems, showValue } from "./problems.js";
import {
  databaseSchema,
  type FileConfig,
  type FileDatabase,
  type FilePlugin,
  type FileUser,
  fileSchema,
  pluginSchema,
  userSchema,
} from "./schema.js";
import { closest } from "./suggest.js";

/** What is right in the file; wrong keys are as if they were not there, wrong entries are left out. */
export interface ValidatedFile {
  readonly settings: Pick<FileConfig, "workers" | "io" | "listen" | "log" | "metrics" | "limits" | "timeouts">;
  readonly databases: ReadonlyMap<string, FileDatabase>;
  readonly users: ReadonlyMap<string, FileUser>;
  /** By their place in the file. */
  readonly plugins: ReadonlyMap<number, FilePlugin>;
}

type Table = Readonly<Record<string, unknown>>;

export function validateFile(raw: Table, problems: Problems): ValidatedFile {
  const check = createChecker(problems);
  const { databases, users, plugins, ...settings } = raw;
  const settingsSchema = fileSchema.omit({ databases: true, users: true, plugins: true });
  return {
    settings: check(settingsSchema, settings, []) ?? settingsSchema.parse({}),
    databases: entries(databases, ["databases"], "[databases.NAME] tables", databaseSchema),
    users: entries(users, ["users"], "[users.NAME] tables", userSchema),
    plugins: pluginEntries(),
  };

  function entries<T>(tables: unknown, path: KeyPath, what: string, schema: z.ZodType<T>): Map<string, T> {
    const right = new Map<string, T>();
    if (tables === undefined) return right;
    if (!isTable(tables)) {
      problems.value(path, `${showValue(path, tables)} is not allowed here; expected ${what}`);
      return right;
    }
    for (const [name, table] of Object.entries(tables)) {
      const value = check(schema, table, [...path, name]);
      if (value !== null) right.set(name, value);
    }
    return right;
  }

  function pluginEntries(): Map<number, FilePlugin> {
    const right = new Map<number, FilePlugin>();
    if (plugins === undefined) return right;
    if (!Array.isArray(plugins)) {
      problems.value(
        ["plugins"],
        `${showValue(["plugins"], plugins)} is not allowed here; write [[plugins]], with two brackets, for each plugin`,
      );
      return right;
    }
    for (const [index, table] of plugins.entries()) {
      const value = check(pluginSchema, table, ["plugins", index]);
      if (value !== null) right.set(index, value);
    }
    return right;
  }
}

/** The schema as data, with the notes of its fields. */
export function describeSchema(): SchemaNode {
  return z.toJSONSchema(fileSchema, { io: "input" }) as SchemaNode;
}

type Check = <T>(schema: z.ZodType<T>, raw: unknown, path: KeyPath) => T | null;

function createChecker(problems: Problems): Check {
  let described: SchemaNode | null = null;
  const root = (): SchemaNode => {
    described ??= describeSchema();
    return described;
  };

  return (schema, raw, path) => {
    const first = schema.safeParse(raw);
    if (first.success) return first.data;
    for (const issue of first.error.issues) report(issue, raw, path);
    // What is left without the wrong keys may still be checked for everything else.
    const rest = first.error.issues.reduce(withoutWrongKeys, raw);
    const second = rest === raw ? first : schema.safeParse(rest);
    return second.success ? second.data : null;
  };

  function report(issue: z.core.$ZodIssue, raw: unknown, base: KeyPath): void {
    const local = issue.path.filter((part) => typeof part !== "symbol");
    const path = [...base, ...local];
    const value = valueAt(raw, local);
    switch (issue.code) {
      case "unrecognized_keys":
        for (const name of issue.keys) problems.key([...path, name], unknownKey(path, name));
        return;
      case "invalid_union": {
        const branch = closestBranch(issue.errors);
        if (branch === null) reportValue(path, value);
        else for (const inner of branch) report({ ...inner, path: [...issue.path, ...inner.path] }, raw, base);
        return;
      }
      case "custom":
        problems.value(path, `${showValue(path, value)} ${issue.message}`);
        return;
      default:
        reportValue(path, value);
    }
  }

  function reportValue(path: KeyPath, value: unknown): void {
    const node = schemaAt(root(), path);
    const allowed = node === null ? "something else" : allowedText(node);
    if (value === undefined) problems.key(path, `is missing; expected ${allowed}`);
    else problems.value(path, `${showValue(path, value)} is not allowed; expected ${allowed}`);
  }

  function unknownKey(table: KeyPath, name: string): string {
    const node = schemaAt(root(), table);
    const known = node === null ? [] : knownNames(node);
    const near = closest(name, known);
    if (near !== null) return `unknown key; did you mean ${near}?`;
    const elsewhere = placesOf(root(), name);
    if (elsewhere.length > 0) return `unknown key here; did you mean ${elsewhere.join(" or ")}?`;
    return `unknown key; allowed here: ${known.join(", ")}`;
  }
}

/** Sections that have a key of this name: `port` is in [listen] and [metrics]. */
function placesOf(root: SchemaNode, name: string): string[] {
  const places: string[] = [];
  for (const [section, node] of Object.entries(root.properties ?? {})) {
    if (section === name) places.push(`${name} at the top of the file, before the first [table]`);
    if (Object.hasOwn(node.properties ?? {}, name)) places.push(`${section}.${name}`);
    const entry = typeof node.additionalProperties === "object" ? node.additionalProperties : undefined;
    if (Object.hasOwn(entry?.properties ?? {}, name)) places.push(`${section}.NAME.${name}`);
    if (Object.hasOwn(node.items?.properties ?? {}, name)) places.push(`${name} in [[${section}]]`);
  }
  return places;
}

type Issues = readonly z.core.$ZodIssue[];

/** Of several forms that a value may take, the one it was meant to have: whose type is right. */
function closestBranch(branches: readonly Issues[]): Issues | null {
  const meant = branches.filter((issues) =>
    issues.every((issue) => issue.path.length > 0 || !["invalid_type", "invalid_value"].includes(issue.code)),
  );
  const only = meant.length === 1 ? meant[0] : undefined;
  // A wrong text in a union is explained better by what all forms allow together.
  return only?.some((issue) => issue.path.length === 0 && issue.code !== "unrecognized_keys" && issue.code !== "custom")
    ? null
    : (only ?? null);
}

function withoutWrongKeys(raw: unknown, issue: z.core.$ZodIssue): unknown {
  const [name, ...deeper] = issue.path;
  if (!isTable(raw)) return raw;
  if (name === undefined) return issue.code === "unrecognized_keys" ? omit(raw, issue.keys) : raw;
  if (typeof name !== "string") return raw;
  const inner = raw[name];
  // One level of tables inside (limits.max_clients): the rest of that table still counts.
  if (isTable(inner) && (deeper.length > 0 || issue.code === "unrecognized_keys")) {
    return { ...raw, [name]: withoutWrongKeys(inner, { ...issue, path: deeper }) };
  }
  return omit(raw, [name]);
}

function omit(table: Table, names: readonly string[]): Table {
  return Object.fromEntries(Object.entries(table).filter(([name]) => !names.includes(name)));
}

function valueAt(raw: unknown, path: KeyPath): unknown {
  let value = raw;
  for (const part of path) {
    if (Array.isArray(value)) value = value[Number(part)];
    else value = isTable(value) ? value[part] : undefined;
  }
  return value;
}

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
