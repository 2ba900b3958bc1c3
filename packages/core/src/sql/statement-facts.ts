// Reads libpg_query's tree of one statement: what it is, what it does, which tables and functions it names. Pure; knows nothing
// of bytes or plugins. Numbers are those of pooler_plugin.h.
import { constants } from "@pooler/plugin-abi";
import { knownFunctions, writingFunctions } from "./known-functions.js";
import type { FunctionUse, TableUse } from "./types.js";

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json | undefined;
}

export interface StatementDescription {
  readonly kind: number;
  readonly facts: number;
  readonly tables: readonly TableUse[];
  readonly functions: readonly FunctionUse[];
}

const {
  POOLER_FACT_LOCKS_ROWS: LOCKS_ROWS,
  POOLER_FACT_MODIFYING_CTE: MODIFYING_CTE,
  POOLER_FACT_PARSED: PARSED,
  POOLER_FACT_UNKNOWN_FUNCTION: UNKNOWN_FUNCTION,
  POOLER_FACT_WRITES: WRITES,
  POOLER_TABLE_LOCK: LOCK,
  POOLER_TABLE_READ: READ,
  POOLER_TABLE_WRITE: WRITE,
} = constants;

/** Kinds of statements that are not DDL. Every other node is: CREATE, ALTER, DROP, GRANT, and what later grammars bring. */
const KINDS: Readonly<Record<string, number>> = {
  SelectStmt: constants.POOLER_STATEMENT_SELECT,
  InsertStmt: constants.POOLER_STATEMENT_INSERT,
  UpdateStmt: constants.POOLER_STATEMENT_UPDATE,
  DeleteStmt: constants.POOLER_STATEMENT_DELETE,
  MergeStmt: constants.POOLER_STATEMENT_MERGE,
  CopyStmt: constants.POOLER_STATEMENT_COPY,
  ExplainStmt: constants.POOLER_STATEMENT_EXPLAIN,
  VariableSetStmt: constants.POOLER_STATEMENT_SET,
  ConstraintsSetStmt: constants.POOLER_STATEMENT_SET,
  VariableShowStmt: constants.POOLER_STATEMENT_SHOW,
  TransactionStmt: constants.POOLER_STATEMENT_TRANSACTION,
  PrepareStmt: constants.POOLER_STATEMENT_PREPARE,
  ExecuteStmt: constants.POOLER_STATEMENT_EXECUTE,
  CallStmt: constants.POOLER_STATEMENT_CALL,
  DoStmt: constants.POOLER_STATEMENT_CALL,
  DeclareCursorStmt: constants.POOLER_STATEMENT_CURSOR,
  FetchStmt: constants.POOLER_STATEMENT_CURSOR,
  ClosePortalStmt: constants.POOLER_STATEMENT_CURSOR,
  ListenStmt: constants.POOLER_STATEMENT_LISTEN,
  UnlistenStmt: constants.POOLER_STATEMENT_LISTEN,
  NotifyStmt: constants.POOLER_STATEMENT_LISTEN,
  LockStmt: constants.POOLER_STATEMENT_OTHER,
  DeallocateStmt: constants.POOLER_STATEMENT_OTHER,
  DiscardStmt: constants.POOLER_STATEMENT_OTHER,
  LoadStmt: constants.POOLER_STATEMENT_OTHER,
  CheckPointStmt: constants.POOLER_STATEMENT_OTHER,
  VacuumStmt: constants.POOLER_STATEMENT_OTHER,
};

/** `statement` is the node of a RawStmt: {"SelectStmt": {…}}. */
export function describeStatement(statement: Json | undefined): StatementDescription {
  const reader = new TreeReader();
  const [type, node] = wrapped(statement);
  const kind = KINDS[type] ?? constants.POOLER_STATEMENT_DDL;
  reader.statement(type, node);
  return { kind, facts: reader.facts | PARSED, tables: [...reader.tables.values()], functions: [...reader.functions.values()] };
}

const isObject = (value: Json | undefined): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);
const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? (value as readonly Json[]) : []);
const textOf = (value: Json | undefined): string | null => (typeof value === "string" && value !== "" ? value : null);
const NOTHING: JsonObject = {};

/** Type and fields of a node that stands in its wrapper; types begin with a capital, fields do not. */
function wrapped(value: Json | undefined): readonly [string, JsonObject] {
  if (isObject(value)) {
    for (const type in value) {
      const node = value[type];
      if (isNodeType(type) && isObject(node)) return [type, node];
    }
  }
  return ["", NOTHING];
}

function isNodeType(key: string): boolean {
  const first = key.charCodeAt(0);
  return first >= 0x41 && first <= 0x5a;
}

/** The strings of a list of names. */
const namesOf = (value: Json | undefined): readonly string[] =>
  listOf(value).map((name) => {
    const [, node] = wrapped(name);
    return textOf(node["sval"]) ?? "";
  });

/** Names of CTEs that can be seen from somewhere. */
interface Scope {
  readonly names: ReadonlySet<string>;
  readonly outer: Scope | null;
}

function hasName(scope: Scope | null, name: string): boolean {
  for (let at = scope; at !== null; at = at.outer) if (at.names.has(name)) return true;
  return false;
}

interface TableEntry {
  readonly catalog: string | null;
  readonly schema: string | null;
  readonly name: string;
  use: number;
}

class TreeReader {
  facts = 0;
  readonly tables = new Map<string, TableEntry>();
  readonly functions = new Map<string, FunctionUse>();

  statement(type: string, node: JsonObject): void {
    switch (type) {
      case "SelectStmt":
      case "InsertStmt":
      case "UpdateStmt":
      case "DeleteStmt":
      case "MergeStmt":
        this.#node(type, node, READ, null);
        return;
      case "ExplainStmt":
        this.#explain(node);
        return;
      case "CopyStmt":
        this.#copy(node);
        return;
      case "CallStmt":
        this.facts |= WRITES;
        this.#node("FuncCall", isObject(node["funccall"]) ? node["funccall"] : NOTHING, READ, null);
        return;
      case "DoStmt":
      case "ExecuteStmt":
        this.facts |= WRITES;
        this.#fields(node, READ, null);
        return;
      case "TransactionStmt":
        // Two-phase commit leaves something behind that outlives the session.
        if (/PREPARE/.test(textOf(node["kind"]) ?? "")) this.facts |= WRITES;
        return;
      case "LockStmt":
        this.facts |= LOCKS_ROWS;
        this.#fields(node, LOCK, null);
        return;
      case "PrepareStmt":
      case "DeclareCursorStmt":
        this.#fields(node, READ, null);
        return;
      default:
        if (KINDS[type] === undefined || type === "VacuumStmt" || type === "CheckPointStmt") {
          this.facts |= WRITES;
          this.#definition(type, node);
        } else {
          this.#fields(node, READ, null);
        }
    }
  }

  /** Without ANALYZE it plans and runs nothing. */
  #explain(node: JsonObject): void {
    const before = this.facts;
    const [type, query] = wrapped(node["query"]);
    this.statement(type, query);
    let analyze = false;
    for (const option of listOf(node["options"])) {
      const [, definition] = wrapped(option);
      if (textOf(definition["defname"]) === "analyze") analyze = isTrue(definition["arg"]);
    }
    if (!analyze) this.facts = before | (this.facts & UNKNOWN_FUNCTION);
  }

  #copy(node: JsonObject): void {
    const isFrom = node["is_from"] === true;
    // TO a file or a program of the server leaves something there.
    if (isFrom || node["is_program"] === true || textOf(node["filename"]) !== null) this.facts |= WRITES;
    this.#fields(node, isFrom ? WRITE : READ, null);
  }

  /** DDL: its own relations are written; those that queries in it read, and those that it only refers to, are not. */
  #definition(type: string, node: JsonObject): void {
    if (type === "DropStmt" || type === "CommentStmt" || type === "SecLabelStmt") this.#namedObjects(node);
    this.#fields(node, WRITE, null);
  }

  /** DROP TABLE a.b and the like: names in lists instead of relations. */
  #namedObjects(node: JsonObject): void {
    const type = textOf(node["removeType"]) ?? textOf(node["objtype"]) ?? "";
    const isRelation = /^OBJECT_(TABLE|VIEW|MATVIEW|FOREIGN_TABLE|SEQUENCE)$/.test(type);
    // The last name is that of something on the table.
    const isOnRelation = /^OBJECT_(TRIGGER|RULE|POLICY|COLUMN|TABCONSTRAINT)$/.test(type);
    if (!isRelation && !isOnRelation) return;
    const objects = node["objects"] === undefined ? [node["object"]] : listOf(node["objects"]);
    for (const object of objects) {
      const [, list] = wrapped(object);
      const names = namesOf(list["items"]);
      this.#table(isOnRelation ? names.slice(0, -1) : names, WRITE);
    }
  }

  #table(names: readonly string[], use: number): void {
    const name = names.at(-1);
    if (name !== undefined && name !== "") this.#addTable(names.at(-3) ?? null, names.at(-2) ?? null, name, use);
  }

  #addTable(catalog: string | null, schema: string | null, name: string, use: number): void {
    const key = JSON.stringify([catalog, schema, name]);
    const known = this.tables.get(key);
    if (known === undefined) this.tables.set(key, { catalog, schema, name, use });
    else known.use |= use;
  }

  #values(value: Json | undefined, use: number, scope: Scope | null): void {
    if (Array.isArray(value)) for (const element of value as readonly Json[]) this.#values(element, use, scope);
    else if (isObject(value)) this.#fields(value, use, scope);
  }

  /** Fields of a node, or a wrapper with a node in it. */
  #fields(node: JsonObject, use: number, scope: Scope | null): void {
    if (typeof node["relname"] === "string") {
      this.#relation(node, use, scope);
      return;
    }
    for (const key in node) {
      const value = node[key];
      if (typeof value !== "object" || value === null) continue;
      if (isNodeType(key) && isObject(value)) this.#node(key, value, use, scope);
      else this.#values(value, REFERENCES.has(key) && use === WRITE ? READ : use, scope);
    }
  }

  #relation(node: JsonObject, use: number, scope: Scope | null): void {
    const catalog = textOf(node["catalogname"]);
    const schema = textOf(node["schemaname"]);
    const name = textOf(node["relname"]);
    if (name === null) return;
    // What is written is never a CTE: INSERT INTO t goes to the table though a CTE is called t.
    if (use !== WRITE && schema === null && hasName(scope, name)) return;
    this.#addTable(catalog, schema, name, use);
  }

  #node(type: string, node: JsonObject, use: number, scope: Scope | null): void {
    switch (type) {
      case "SelectStmt":
        this.#select(node, scope);
        return;
      case "InsertStmt":
      case "UpdateStmt":
      case "DeleteStmt":
      case "MergeStmt":
        this.#modify(node, scope);
        return;
      case "FuncCall":
        this.#call(node);
        this.#fields(node, use, scope);
        return;
      case "TableLikeClause":
        this.#fields(node, READ, scope);
        return;
      default:
        this.#fields(node, use, scope);
    }
  }

  #call(node: JsonObject): void {
    const names = namesOf(node["funcname"]);
    const name = names.at(-1);
    if (name === undefined) return;
    const schema = names.at(-2) ?? null;
    this.functions.set(JSON.stringify([schema, name]), { schema, name });
    const isBuiltIn = schema === null || schema === "pg_catalog";
    if (!isBuiltIn || !knownFunctions.has(name)) this.facts |= UNKNOWN_FUNCTION;
    if (isBuiltIn && writingFunctions.has(name)) this.facts |= WRITES;
  }

  #select(node: JsonObject, outer: Scope | null): void {
    const scope = this.#with(node["withClause"], outer);
    if (isObject(node["intoClause"])) {
      this.facts |= WRITES;
      this.#fields(node["intoClause"], WRITE, scope);
    }
    for (const key in node) {
      if (key === "withClause" || key === "intoClause" || key === "lockingClause") continue;
      const value = node[key];
      if ((key === "larg" || key === "rarg") && isObject(value)) this.#select(value, scope);
      else this.#values(value, READ, scope);
    }
    for (const clause of listOf(node["lockingClause"])) {
      this.facts |= LOCKS_ROWS;
      const [, locking] = wrapped(clause);
      const names = locking["lockedRels"] === undefined ? null : relationNames(locking["lockedRels"]);
      this.#lock(listOf(node["fromClause"]), names, scope);
    }
  }

  /** FOR UPDATE locks the tables of FROM, or those named, and those that a subquery there reads. */
  #lock(from: readonly Json[], names: ReadonlySet<string> | null, scope: Scope | null): void {
    for (const item of from) {
      const [type, node] = wrapped(item);
      const alias = isObject(node["alias"]) ? textOf(node["alias"]["aliasname"]) : null;
      switch (type) {
        case "RangeVar":
          if (names === null || names.has(alias ?? textOf(node["relname"]) ?? "")) this.#relation(node, LOCK, scope);
          break;
        case "JoinExpr":
          this.#lock([node["larg"] ?? null, node["rarg"] ?? null], names, scope);
          break;
        case "RangeTableSample":
          this.#lock([node["relation"] ?? null], names, scope);
          break;
        case "RangeSubselect": {
          if (names !== null && !names.has(alias ?? "")) break;
          const [, query] = wrapped(node["subquery"]);
          this.#lock(listOf(query["fromClause"]), null, withNames(query["withClause"], scope));
          break;
        }
      }
    }
  }

  #modify(node: JsonObject, outer: Scope | null): void {
    this.facts |= WRITES;
    const scope = this.#with(node["withClause"], outer);
    for (const key in node) {
      if (key === "withClause") continue;
      this.#values(node[key], key === "relation" ? WRITE : READ, scope);
    }
  }

  /** Reads the CTEs and returns the scope of what they stand before. */
  #with(clause: Json | undefined, outer: Scope | null): Scope | null {
    if (!isObject(clause)) return outer;
    const all = withNames(clause, outer);
    const earlier = new Set<string>();
    for (const element of listOf(clause["ctes"])) {
      const [, cte] = wrapped(element);
      const [type, query] = wrapped(cte["ctequery"]);
      if (type !== "SelectStmt") this.facts |= MODIFYING_CTE;
      // Without RECURSIVE a CTE sees those before it only, not itself.
      this.#node(type, query, READ, clause["recursive"] === true ? all : { names: new Set(earlier), outer });
      const name = textOf(cte["ctename"]);
      if (name !== null) earlier.add(name);
    }
    return all;
  }
}

/** Fields of DDL nodes with relations that are referred to, not changed: a foreign key's table, parents. */
const REFERENCES: ReadonlySet<string> = new Set(["pktable", "inhRelations", "constrrel"]);

function withNames(clause: Json | undefined, outer: Scope | null): Scope | null {
  if (!isObject(clause)) return outer;
  const names = new Set<string>();
  for (const element of listOf(clause["ctes"])) {
    const [, cte] = wrapped(element);
    const name = textOf(cte["ctename"]);
    if (name !== null) names.add(name);
  }
  return { names, outer };
}

function relationNames(list: Json | undefined): ReadonlySet<string> {
  return new Set(
    listOf(list).map((relation) => {
      const [, node] = wrapped(relation);
      return textOf(node["relname"]) ?? "";
    }),
  );
}

/** defGetBoolean(): no value means true, zeros and false are left out of the JSON. */
function isTrue(argument: Json | undefined): boolean {
  if (argument === undefined || !isObject(argument)) return true;
  const [type, value] = wrapped(argument);
  switch (type) {
    case "Integer":
      return typeof value["ival"] === "number" && value["ival"] !== 0;
    case "Boolean":
      return value["boolval"] === true;
    default:
      return !/^(false|off)$/i.test(textOf(value["sval"]) ?? "");
  }
}
