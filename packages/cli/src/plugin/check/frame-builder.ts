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

type FieldValue = number | bigint | Buffer | string | null;
/** Fields by their names in the header; an absent text is null. */
export type FieldValues<Name extends StructName> = Partial<Readonly<Record<keyof (typeof structs)[Name]["fields"], FieldValue>>>;

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

  /** Writes fields: numbers as they are wide, texts and bytes as slices. */
  put<Name extends StructName>(at: number, name: Name, values: FieldValues<Name>): void {
    const offsets: Readonly<Record<string, number>> = structs[name].fields;
    for (const [field, value] of Object.entries<FieldValue | undefined>(values)) {
      const place = at + (offsets[field] ?? 0);
      if (typeof value === "number") this.u32(place, value);
      else if (typeof value === "bigint") this.u64(place, value);
      else if (value !== undefined) this.slice(place, value);
    }
  }

  /** An array of structs, one for each of `values`. */
  structs<Name extends StructName>(at: number, name: Name, values: readonly FieldValues<Name>[]): void {
    const elements = this.array(at, name, values.length);
    values.forEach((value, index) => {
      this.put(elements[index] as number, name, value);
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
  const { protocol, flags, role, shard } = spec;
  builder.put(at, "pooler_input", { protocol, flags, role, shard, ms_since_write: spec.msSinceWrite, query_id: BigInt(spec.queryId) });
  builder.ref(at + fields.cluster, putCluster(builder, spec.cluster));
  builder.ref(at + fields.session, putSession(builder, spec.session));
  builder.ref(at + fields.statement, putStatement(builder, spec.statement));
  builder.structs(
    at + fields.parameters,
    "pooler_parameter",
    spec.parameters.map(({ value, format, typeOid }) => ({
      value,
      format,
      type_oid: typeOid,
      flags: value === null ? constants.POOLER_PARAMETER_NULL : 0,
    })),
  );
  return builder.finish();
}

function putCluster(builder: FrameBuilder, { shards, generation, name, hosts }: ClusterSpec): number {
  const at = builder.struct("pooler_cluster");
  builder.put(at, "pooler_cluster", { shards, generation: BigInt(generation), name });
  const elements = hosts.map(({ lagMs, ...host }) => ({ ...host, lag_ms: lagMs }));
  builder.structs(at + structs.pooler_cluster.fields.hosts, "pooler_host", elements);
  return at;
}

export function putSession(builder: FrameBuilder, session: SessionSpec): number {
  const at = builder.struct("pooler_session");
  builder.put(at, "pooler_session", {
    flags: session.flags,
    id: BigInt(session.id),
    user: session.user,
    database: session.database,
    application_name: session.applicationName,
    client_address: session.clientAddress,
    client_encoding: session.clientEncoding,
  });
  return at;
}

export function putStatement(builder: FrameBuilder, statement: StatementSpec): number {
  const { fields } = structs.pooler_statement;
  const at = builder.struct("pooler_statement");
  const { kind, facts, grammar } = statement;
  builder.put(at, "pooler_statement", {
    kind,
    id: BigInt(statement.id),
    fingerprint: BigInt(`0x${statement.fingerprint}`),
    facts,
    grammar,
  });
  builder.structs(at + fields.tables, "pooler_table", statement.tables);
  builder.structs(at + fields.functions, "pooler_function", statement.functions);
  builder.put(at, "pooler_statement", {
    parse_tree: statement.parseTree,
    parse_error: statement.parseError,
    // Last, and without a NUL behind it: whoever looks for one finds the end of what is mapped.
    sql: statement.sql,
  });
  return at;
}

/** What pooler_create is given, and pooler_reload. */
export function buildCreateInput(config: Buffer | string | null, grammar: number, growth = 0): BuiltFrame {
  const builder = new FrameBuilder(growth);
  const at = builder.struct("pooler_create_input");
  builder.put(at, "pooler_create_input", {
    host_minor: constants.POOLER_ABI_MINOR,
    config,
    name: "plugin-under-check",
    worker: 0,
    grammar,
  });
  return builder.finish();
}
