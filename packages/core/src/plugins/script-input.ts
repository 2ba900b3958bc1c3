// What a plugin in JavaScript sees of an input frame: objects whose fields are read when they are looked at. The frame is the host's own:
// it is believed. What is handed out is copied, for the plugin may keep it.
import { constants, structs } from "@pooler/plugin-abi";
import type { Cluster, Parameter, Role, RouteInput, Session, Statement, StatementKind } from "@pooler/plugin-abi/js";
import { decoderOf } from "../sql/encodings.js";
import type { FrameBytes } from "./script-memory.js";

const { pooler_input: input, pooler_statement: statement, pooler_session: session, pooler_cluster: cluster } = structs;
const { pooler_parameter: parameter, pooler_host: host, pooler_table: table, pooler_function: called, pooler_pair: pair } = structs;

/** As in the header, in small letters. */
const kinds: ReadonlyMap<number, StatementKind> = new Map(
  Object.entries(constants)
    .filter(([name]) => name.startsWith("POOLER_STATEMENT_"))
    .map(([name, kind]) => [kind, name.slice("POOLER_STATEMENT_".length).toLowerCase() as StatementKind]),
);

/** A struct of a frame: fields by their offset in it. */
export class Record {
  readonly frame: FrameBytes;
  readonly at: number;
  readonly #epoch: number;

  constructor(frame: FrameBytes, at: number) {
    this.frame = frame;
    this.at = at;
    this.#epoch = frame.epoch;
  }

  /** Every other read begins with this one. */
  u32(field: number): number {
    if (this.frame.epoch !== this.#epoch) {
      throw new TypeError("what a hook is given can be read during its call only: read what is needed then, and keep that");
    }
    return this.frame.words[(this.at + field) >>> 2] as number;
  }

  u64(field: number): number {
    return this.u32(field) + this.u32(field + 4) * 0x1_0000_0000;
  }

  /** The bytes where they are; null when absent. */
  view(field: number): Buffer | null {
    const offset = this.u32(field);
    return offset === 0 ? null : this.frame.bytes.subarray(offset, offset + this.u32(field + 4));
  }

  bytes(field: number): Buffer | null {
    const view = this.view(field);
    return view === null ? null : Buffer.from(view);
  }

  text(field: number): string | null {
    return this.view(field)?.toString("utf8") ?? null;
  }

  struct(field: number): Record {
    return new Record(this.frame, this.u32(field));
  }

  elements<T>(field: number, make: (element: Record) => T): readonly T[] {
    const start = this.u32(field);
    const stride = this.u32(field + 8);
    return Array.from({ length: this.u32(field + 4) }, (_, index) => make(new Record(this.frame, start + index * stride)));
  }

  pairs(field: number): ReadonlyMap<string, string> {
    return new Map(
      this.elements(field, (each) => [each.text(pair.fields.name) ?? "", each.text(pair.fields.value) ?? ""] as [string, string]),
    );
  }
}

export function roleOf(role: number): Role | null {
  if (role === constants.POOLER_ROLE_WRITE) return "write";
  return role === constants.POOLER_ROLE_READ ? "read" : null;
}

export function shardOf(shard: number): number | "all" | null {
  if (shard === constants.POOLER_SHARD_OPEN) return null;
  return shard === constants.POOLER_SHARD_ALL ? "all" : shard;
}

export function protocolOf(protocol: number): "simple" | "extended" {
  return protocol === constants.POOLER_PROTOCOL_EXTENDED ? "extended" : "simple";
}

export class ScriptRouteInput implements RouteInput<unknown> {
  learned: unknown = undefined;
  readonly #record: Record;
  readonly #flags: number;
  #statement: Statement | null = null;

  constructor(frame: FrameBytes) {
    this.#record = new Record(frame, 0);
    this.#flags = this.#record.u32(input.fields.flags);
  }

  get protocol(): "simple" | "extended" {
    return protocolOf(this.#record.u32(input.fields.protocol));
  }

  get inTransaction(): boolean {
    return (this.#flags & constants.POOLER_IN_TRANSACTION) !== 0;
  }

  get readOnly(): boolean {
    return (this.#flags & constants.POOLER_READ_ONLY) !== 0;
  }

  get firstStatement(): boolean {
    return (this.#flags & constants.POOLER_FIRST_STATEMENT) !== 0;
  }

  get prepareOnly(): boolean {
    return (this.#flags & constants.POOLER_PREPARE_ONLY) !== 0;
  }

  get rewritten(): boolean {
    return (this.#flags & constants.POOLER_REWRITTEN) !== 0;
  }

  get severalStatements(): boolean {
    return (this.#flags & constants.POOLER_SEVERAL_STATEMENTS) !== 0;
  }

  get role(): Role | null {
    return (this.#flags & constants.POOLER_ROLE_DECIDED) === 0 ? null : roleOf(this.#record.u32(input.fields.role));
  }

  get shard(): number | "all" | null {
    return (this.#flags & constants.POOLER_SHARD_DECIDED) === 0 ? null : shardOf(this.#record.u32(input.fields.shard));
  }

  get msSinceWrite(): number | null {
    const ms = this.#record.u32(input.fields.ms_since_write);
    return ms === constants.POOLER_NEVER ? null : ms;
  }

  get queryId(): number {
    return this.#record.u64(input.fields.query_id);
  }

  get statement(): Statement {
    this.#statement ??= new ScriptStatement(this.#record.struct(input.fields.statement), this.#record.struct(input.fields.session));
    return this.#statement;
  }

  get session(): Session {
    return new ScriptSession(this.#record.struct(input.fields.session));
  }

  get cluster(): Cluster {
    return new ScriptCluster(this.#record.struct(input.fields.cluster));
  }

  get parameters(): readonly Parameter[] {
    return this.#record.elements(input.fields.parameters, parameterOf);
  }
}

/** The id of the statement without an object for it. */
export function statementIdOf(frame: FrameBytes): number {
  return new Record(frame, 0).struct(input.fields.statement).u64(statement.fields.id);
}

export function clientEncodingOf(frame: FrameBytes): string {
  return new Record(frame, 0).struct(input.fields.session).text(session.fields.client_encoding) ?? "";
}

export class ScriptStatement implements Statement {
  readonly #record: Record;
  readonly #session: Record;
  readonly #facts: number;

  constructor(record: Record, ofSession: Record) {
    this.#record = record;
    this.#session = ofSession;
    this.#facts = record.u32(statement.fields.facts);
  }

  get id(): number {
    return this.#record.u64(statement.fields.id);
  }

  get sql(): string {
    const bytes = this.#record.view(statement.fields.sql) ?? Buffer.alloc(0);
    const decode = decoderOf(this.#session.text(session.fields.client_encoding) ?? "");
    return decode?.(bytes) ?? bytes.toString("latin1");
  }

  get sqlBytes(): Buffer {
    return this.#record.bytes(statement.fields.sql) ?? Buffer.alloc(0);
  }

  get kind(): StatementKind {
    return kinds.get(this.#record.u32(statement.fields.kind)) ?? "other";
  }

  get parsed(): boolean {
    return (this.#facts & constants.POOLER_FACT_PARSED) !== 0;
  }

  get writes(): boolean {
    return (this.#facts & constants.POOLER_FACT_WRITES) !== 0;
  }

  get locksRows(): boolean {
    return (this.#facts & constants.POOLER_FACT_LOCKS_ROWS) !== 0;
  }

  get modifyingCte(): boolean {
    return (this.#facts & constants.POOLER_FACT_MODIFYING_CTE) !== 0;
  }

  get unknownFunction(): boolean {
    return (this.#facts & constants.POOLER_FACT_UNKNOWN_FUNCTION) !== 0;
  }

  get syntaxError(): boolean {
    return (this.#facts & constants.POOLER_FACT_SYNTAX_ERROR) !== 0;
  }

  get parseError(): string | null {
    return this.#record.text(statement.fields.parse_error);
  }

  get tables(): Statement["tables"] {
    return this.#record.elements(statement.fields.tables, (each) => {
      const use = each.u32(table.fields.use);
      return {
        catalog: each.text(table.fields.catalog),
        schema: each.text(table.fields.schema),
        name: each.text(table.fields.name) ?? "",
        read: (use & constants.POOLER_TABLE_READ) !== 0,
        written: (use & constants.POOLER_TABLE_WRITE) !== 0,
        locked: (use & constants.POOLER_TABLE_LOCK) !== 0,
      };
    });
  }

  get functions(): Statement["functions"] {
    return this.#record.elements(statement.fields.functions, (each) => ({
      schema: each.text(called.fields.schema),
      name: each.text(called.fields.name) ?? "",
    }));
  }

  get fingerprint(): string | null {
    const low = this.#record.u32(statement.fields.fingerprint);
    const high = this.#record.u32(statement.fields.fingerprint + 4);
    if (low === 0 && high === 0) return null;
    return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0");
  }

  get parseTree(): string | null {
    return this.#record.text(statement.fields.parse_tree);
  }
}

export class ScriptSession implements Session {
  readonly #record: Record;

  constructor(record: Record) {
    this.#record = record;
  }

  get id(): number {
    return this.#record.u64(session.fields.id);
  }

  get user(): string {
    return this.#record.text(session.fields.user) ?? "";
  }

  get database(): string {
    return this.#record.text(session.fields.database) ?? "";
  }

  get applicationName(): string {
    return this.#record.text(session.fields.application_name) ?? "";
  }

  get clientAddress(): string {
    return this.#record.text(session.fields.client_address) ?? "";
  }

  get clientEncoding(): string {
    return this.#record.text(session.fields.client_encoding) ?? "";
  }

  get tls(): boolean {
    return (this.#record.u32(session.fields.flags) & constants.POOLER_SESSION_TLS) !== 0;
  }
}

class ScriptCluster implements Cluster {
  readonly #record: Record;

  constructor(record: Record) {
    this.#record = record;
  }

  get name(): string {
    return this.#record.text(cluster.fields.name) ?? "";
  }

  get shards(): number {
    return this.#record.u32(cluster.fields.shards);
  }

  get generation(): number {
    return this.#record.u64(cluster.fields.generation);
  }

  get hosts(): Cluster["hosts"] {
    return this.#record.elements(cluster.fields.hosts, (each) => {
      const lagMs = each.u32(host.fields.lag_ms);
      return {
        shard: each.u32(host.fields.shard),
        role: each.u32(host.fields.role) === constants.POOLER_ROLE_WRITE ? ("primary" as const) : ("replica" as const),
        up: (each.u32(host.fields.flags) & constants.POOLER_HOST_UP) !== 0,
        lagMs: lagMs === constants.POOLER_NEVER ? null : lagMs,
        address: each.text(host.fields.address) ?? "",
      };
    });
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function parameterOf(record: Record): Parameter {
  const flags = record.u32(parameter.fields.flags);
  const isNull = (flags & constants.POOLER_PARAMETER_NULL) !== 0;
  const bytes = isNull ? null : record.bytes(parameter.fields.value);
  const isBinary = record.u32(parameter.fields.format) === 1;
  return {
    bytes,
    text: bytes === null || isBinary ? null : textOf(bytes),
    format: isBinary ? "binary" : "text",
    typeOid: record.u32(parameter.fields.type_oid),
    isLiteral: (flags & constants.POOLER_PARAMETER_LITERAL) !== 0,
  };
}

function textOf(bytes: Buffer): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}
