// What may stand at a key, in words, from a JSON Schema: for error messages and for the reference in docs/. Serves the
// pooler's own schema and those of plugins alike.
import type { KeyPath } from "./positions.js";

export interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly pattern?: string;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly oneOf?: readonly SchemaNode[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: boolean | SchemaNode;
  readonly required?: readonly string[];
  /** FieldNotes of the pooler's own schema. */
  readonly changeable?: boolean;
  readonly allowed?: string;
  readonly defaultText?: string;
}

export function allowedText(node: SchemaNode): string {
  if (node.allowed !== undefined) return node.allowed;
  if (node.const !== undefined) return JSON.stringify(node.const);
  if (node.enum !== undefined) return `one of ${node.enum.map((value) => JSON.stringify(value)).join(", ")}`;
  const branches = node.anyOf ?? node.oneOf;
  if (branches !== undefined) return branches.map(allowedText).join(", or ");
  const types = typeof node.type === "string" ? [node.type] : (node.type ?? []);
  return types.length === 0 ? "any value" : types.map((type) => typeText(type, node)).join(" or ");
}

function typeText(type: string, node: SchemaNode): string {
  switch (type) {
    case "integer":
      return `a whole number${rangeText(node)}`;
    case "number":
      return `a number${rangeText(node)}`;
    case "string":
      if (node.pattern !== undefined) return `a text like /${node.pattern}/`;
      return node.minLength === undefined ? "a text" : "a text that is not empty";
    case "boolean":
      return "true or false";
    case "array":
      return node.items === undefined ? "a list" : `a list of: ${allowedText(node.items)}`;
    case "object":
      return node.properties === undefined ? "a table" : `a table with ${Object.keys(node.properties).join(", ")}`;
    default:
      return type;
  }
}

function rangeText({ minimum, maximum }: SchemaNode): string {
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`;
  if (minimum !== undefined) return ` of at least ${minimum}`;
  return maximum === undefined ? "" : ` of at most ${maximum}`;
}

/** The part of a schema that speaks of this key; null when it has none. */
export function schemaAt(schema: SchemaNode, path: KeyPath): SchemaNode | null {
  const [part, ...rest] = path;
  if (part === undefined) return schema;
  for (const branch of [schema, ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]) {
    const next = typeof part === "number" ? branch.items : memberOf(branch, part);
    const found = next === undefined ? null : schemaAt(next, rest);
    if (found !== null) return found;
  }
  return null;
}

function memberOf(schema: SchemaNode, name: string): SchemaNode | undefined {
  if (schema.properties !== undefined && Object.hasOwn(schema.properties, name)) return schema.properties[name];
  return typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined;
}

/** Names that a table may hold here, of all the forms it may take. */
export function knownNames(schema: SchemaNode): readonly string[] {
  return [schema, ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].flatMap((branch) => Object.keys(branch.properties ?? {}));
}
