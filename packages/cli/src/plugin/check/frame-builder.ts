// Lays out input frames from the header's own layout, apart from the pooler's own encoder: also frames as a later minor version
// makes them, with longer structs and larger strides, whose further fields hold what nobody knows yet.
import { constants, type StructName, structs } from "@pooler/plugin-abi";

export interface TableSpec {
  readonly catalog: string | null;
  readonly schema: string | null;
  readonly name: string;
  readonly use: number;
}

export interface StatementSpec {
  readonly id: number;
  readonly sql: Buffer;
  readonly kind: number;
  readonly facts: number;
  readonly grammar: number;
  /** Sixteen hexadecimal digits. */
  readonly fingerprint: string;
  readonly tables: readonly TableSpec[];
  readonly functions: readonly { readonly schema: string | null; readonly name: string }[];
  readonly parseTree: string | null;
  readonly parseError: string | null;
}

export interface SessionSpec {
  readonly id: number;
  readonly flags: number;
  readonly user: Buffer | string | null;
  readonly database: Buffer | string | null;
  readonly applicationName: Buffer | string | null;
  readonly clientAddress: string | null;
  readonly clientEncoding: string | null;
}

export interface ClusterSpec {
  readonly name: string;
  readonly shards: number;
  readonly generation: number;
  readonly hosts: readonly {
    readonly shard: number;
    readonly role: number;
    readonly flags: number;
    readonly lagMs: number;
    readonly address: string;
  }[];
}

export interface ParameterSpec {
  readonly value: Buffer | null;
  readonly format: number;
  readonly typeOid: number;
}

export interface InputSpec {
  readonly protocol: number;
  readonly flags: number;
  readonly role: number;
  readonly shard: number;
  readonly msSinceWrite: number;
  readonly queryId: number;
  readonly statement: StatementSpec;
  readonly session: SessionSpec;
  readonly cluster: ClusterSpec;
  readonly parameters: readonly ParameterSpec[];
}

export interface BuiltFrame {
  readonly bytes: Buffer;
  /** Where offsets, lengths, counts and strides are: a frame is malformed when one of them is wrong. */
  readonly structural: readonly { readonly at: number; readonly kind: "ref" | "offset" | "length" | "count" | "stride" }[];
}

/** Of a field that a later version may add, and of what lies between two parts of a frame. */
const unknownByte = 0xee;

export class FrameBuilder {
  readonly structural: { at: number; kind: BuiltFrame["structural"][number]["kind"] }[] = [];
  #bytes = Buffer.alloc(1024);
  #end = 0;
  readonly #growth: number;

  /** `growth`: how many bytes each struct and element is longer than this version's, a multiple of eight. */
  constructor(growth = 0) {
    this.#growth = growth;
  }

  /** Space for a struct at the next multiple of eight; sets its `size`. */
  struct(name: StructName): number {
    const { size, fields } = structs[name];
    const at = this.#reserve(size + this.#growth);
    this.#bytes.fill(unknownByte, at + size, at + size + this.#growth);
    if ("size" in fields && fields.size === 0) this.u32(at, size + this.#growth);
    return at;
  }

  u32(at: number, value: number): void {
    this.#bytes.writeUInt32LE(value >>> 0, at);
  }

  u64(at: number, value: bigint | number): void {
    this.#bytes.writeBigUInt64LE(BigInt(value), at);
  }

  ref(at: number, to: number): void {
    this.structural.push({ at, kind: "ref" });
    this.u32(at, to);
  }

  slice(at: number, value: Buffer | string | null): void {
    this.structural.push({ at, kind: "offset" }, { at: at + 4, kind: "length" });
    if (value === null) return;
    const bytes = Buffer.from(value);
    // An empty text is there, too.
    const start = this.#reserve(Math.max(bytes.length, 1));
    bytes.copy(this.#bytes, start);
    this.u32(at, start);
    this.u32(at + 4, bytes.length);
  }

  /** Space for elements; returns where each begins. */
  array(at: number, name: StructName, count: number): readonly number[] {
    this.structural.push({ at, kind: "offset" }, { at: at + 4, kind: "count" }, { at: at + 8, kind: "stride" });
    if (count === 0) return [];
    const { size } = structs[name];
    const stride = size + this.#growth;
    const start = this.#reserve(count * stride);
    this.u32(at, start);
    this.u32(at + 4, count);
    this.u32(at + 8, stride);
    return Array.from({ length: count }, (_, index) => {
      const element = start + index * stride;
      this.#bytes.fill(unknownByte, element + size, element + stride);
      return element;
    });
  }

  finish(): BuiltFrame {
    const end = this.#reserve(0);
    return { bytes: Buffer.from(this.#bytes.subarray(0, end)), structural: this.structural };
  }

  #reserve(length: number): number {
    const at = (this.#end + 7) & ~7;
    const before = this.#end;
    this.#end = at + length;
    if (((this.#end + 7) & ~7) > this.#bytes.length) {
      const larger = Buffer.alloc(2 * this.#end + 8);
      this.#bytes.copy(larger);
      this.#bytes = larger;
    }
    this.#bytes.fill(unknownByte, before, at);
    return at;
  }
}

export function buildInput(spec: InputSpec, growth = 0): BuiltFrame {
  const builder = new FrameBuilder(growth);
  const { fields } = structs.pooler_input;
  const at = builder.struct("pooler_input");
  builder.u32(at + fields.protocol, spec.protocol);
  builder.u32(at + fields.flags, spec.flags);
  builder.u32(at + fields.role, spec.role);
  builder.u32(at + fields.shard, spec.shard);
  builder.u32(at + fields.ms_since_write, spec.msSinceWrite);
  builder.u64(at + fields.query_id, spec.queryId);
  builder.ref(at + fields.cluster, putCluster(builder, spec.cluster));
  builder.ref(at + fields.session, putSession(builder, spec.session));
  builder.ref(at + fields.statement, putStatement(builder, spec.statement));
  putParameters(builder, at + fields.parameters, spec.parameters);
  return builder.finish();
}

function putCluster(builder: FrameBuilder, cluster: ClusterSpec): number {
  const { fields } = structs.pooler_cluster;
  const host = structs.pooler_host.fields;
  const at = builder.struct("pooler_cluster");
  builder.u32(at + fields.shards, cluster.shards);
  builder.u64(at + fields.generation, cluster.generation);
  builder.slice(at + fields.name, cluster.name);
  const elements = builder.array(at + fields.hosts, "pooler_host", cluster.hosts.length);
  cluster.hosts.forEach((spec, index) => {
    const element = elements[index] as number;
    builder.u32(element + host.shard, spec.shard);
    builder.u32(element + host.role, spec.role);
    builder.u32(element + host.flags, spec.flags);
    builder.u32(element + host.lag_ms, spec.lagMs);
    builder.slice(element + host.address, spec.address);
  });
  return at;
}

function putSession(builder: FrameBuilder, session: SessionSpec): number {
  const { fields } = structs.pooler_session;
  const at = builder.struct("pooler_session");
  builder.u32(at + fields.flags, session.flags);
  builder.u64(at + fields.id, session.id);
  builder.slice(at + fields.user, session.user);
  builder.slice(at + fields.database, session.database);
  builder.slice(at + fields.application_name, session.applicationName);
  builder.slice(at + fields.client_address, session.clientAddress);
  builder.slice(at + fields.client_encoding, session.clientEncoding);
  return at;
}

function putStatement(builder: FrameBuilder, statement: StatementSpec): number {
  const { fields } = structs.pooler_statement;
  const table = structs.pooler_table.fields;
  const called = structs.pooler_function.fields;
  const at = builder.struct("pooler_statement");
  builder.u32(at + fields.kind, statement.kind);
  builder.u64(at + fields.id, statement.id);
  builder.u64(at + fields.fingerprint, BigInt(`0x${statement.fingerprint}`));
  builder.u32(at + fields.facts, statement.facts);
  builder.u32(at + fields.grammar, statement.grammar);
  const tables = builder.array(at + fields.tables, "pooler_table", statement.tables.length);
  statement.tables.forEach((spec, index) => {
    const element = tables[index] as number;
    builder.slice(element + table.catalog, spec.catalog);
    builder.slice(element + table.schema, spec.schema);
    builder.slice(element + table.name, spec.name);
    builder.u32(element + table.use, spec.use);
  });
  const functions = builder.array(at + fields.functions, "pooler_function", statement.functions.length);
  statement.functions.forEach((spec, index) => {
    const element = functions[index] as number;
    builder.slice(element + called.schema, spec.schema);
    builder.slice(element + called.name, spec.name);
  });
  builder.slice(at + fields.parse_tree, statement.parseTree);
  builder.slice(at + fields.parse_error, statement.parseError);
  // Last, and without a NUL behind it: whoever looks for one finds the end of what is mapped.
  builder.slice(at + fields.sql, statement.sql);
  return at;
}

function putParameters(builder: FrameBuilder, at: number, parameters: readonly ParameterSpec[]): void {
  const { fields } = structs.pooler_parameter;
  const elements = builder.array(at, "pooler_parameter", parameters.length);
  parameters.forEach(({ value, format, typeOid }, index) => {
    const element = elements[index] as number;
    builder.slice(element + fields.value, value);
    builder.u32(element + fields.format, format);
    builder.u32(element + fields.type_oid, typeOid);
    builder.u32(element + fields.flags, value === null ? constants.POOLER_PARAMETER_NULL : 0);
  });
}

/** What pooler_create is given. */
export function buildCreateInput(config: Buffer | string | null, grammar: number, growth = 0): BuiltFrame {
  const builder = new FrameBuilder(growth);
  const { fields } = structs.pooler_create_input;
  const at = builder.struct("pooler_create_input");
  builder.u32(at + fields.host_minor, constants.POOLER_ABI_MINOR);
  builder.slice(at + fields.config, config);
  builder.slice(at + fields.name, "plugin-under-check");
  builder.u32(at + fields.worker, 0);
  builder.u32(at + fields.grammar, grammar);
  return builder.finish();
}
