// Parts of an input frame that are encoded once and copied often: cluster, session and statement. A block is laid out as
// if it began at offset 0; whoever copies it into a frame shifts the offsets that it lists.
import { constants, structs } from "@pooler/plugin-abi";
import type { Statement } from "../sql/statement.js";
import type { ChainSession, ClusterView } from "./types.js";

export interface Block {
  /** A multiple of eight bytes. */
  readonly words: Uint32Array;
  /** Indices of the words that hold an offset. */
  readonly offsets: Uint32Array;
}

const sliceBytes = structs.pooler_slice.size;
const { pooler_cluster: clusterStruct, pooler_host: hostStruct, pooler_session: sessionStruct } = structs;
const { pooler_statement: statementStruct, pooler_table: tableStruct, pooler_function: functionStruct } = structs;

/** Where the sql slice of a statement block is, in words. */
export const statementSqlWord = statementStruct.fields.sql / 4;

export function encodeCluster(cluster: ClusterView): Block {
  const writer = new BlockWriter(clusterStruct.size);
  const { fields } = clusterStruct;
  writer.u32(fields.size, clusterStruct.size);
  writer.u32(fields.shards, cluster.shards);
  writer.u64(fields.generation, cluster.generation);
  const at = writer.array(fields.hosts, cluster.hosts.length, hostStruct.size);
  writer.text(fields.name, cluster.name);
  cluster.hosts.forEach((host, index) => {
    const element = at + index * hostStruct.size;
    writer.u32(element + hostStruct.fields.shard, host.shard);
    writer.u32(element + hostStruct.fields.role, host.role === "primary" ? constants.POOLER_ROLE_WRITE : constants.POOLER_ROLE_READ);
    writer.u32(element + hostStruct.fields.flags, host.up ? constants.POOLER_HOST_UP : 0);
    const lagMs = host.lagMs === null ? constants.POOLER_NEVER : Math.min(Math.round(host.lagMs), constants.POOLER_NEVER - 1);
    writer.u32(element + hostStruct.fields.lag_ms, lagMs);
    writer.text(element + hostStruct.fields.address, host.address);
  });
  return writer.finish();
}

export function encodeSession(session: ChainSession): Block {
  const writer = new BlockWriter(sessionStruct.size);
  const { fields } = sessionStruct;
  writer.u32(fields.size, sessionStruct.size);
  writer.u32(fields.flags, session.tls ? constants.POOLER_SESSION_TLS : 0);
  writer.u64(fields.id, session.id);
  writer.text(fields.user, session.user);
  writer.text(fields.database, session.database);
  writer.text(fields.application_name, session.applicationName);
  writer.text(fields.client_address, session.clientAddress);
  writer.text(fields.client_encoding, session.clientEncoding);
  return writer.finish();
}

export interface StatementParts {
  /** false: the frame writes the text after the block (large texts are not kept twice). */
  readonly sql: boolean;
  readonly fingerprint: boolean;
  readonly parseTree: string | null;
}

export function encodeStatement(statement: Statement, parts: StatementParts): Block {
  const writer = new BlockWriter(statementStruct.size);
  const { fields } = statementStruct;
  writer.u32(fields.size, statementStruct.size);
  writer.u64(fields.id, statement.id);
  const facts = statement.facts;
  if (facts !== null) {
    writer.u32(fields.kind, facts.kind);
    writer.u32(fields.facts, facts.facts);
    writer.u32(fields.grammar, facts.grammar);
    const parsed = (facts.facts & constants.POOLER_FACT_PARSED) !== 0;
    if (parts.fingerprint && parsed) writer.hex64(fields.fingerprint, facts.fingerprint());
    const tables = writer.array(fields.tables, facts.tables.length, tableStruct.size);
    const functions = writer.array(fields.functions, facts.functions.length, functionStruct.size);
    facts.tables.forEach((table, index) => {
      const element = tables + index * tableStruct.size;
      writer.text(element + tableStruct.fields.catalog, table.catalog);
      writer.text(element + tableStruct.fields.schema, table.schema);
      writer.text(element + tableStruct.fields.name, table.name);
      writer.u32(element + tableStruct.fields.use, table.use);
    });
    facts.functions.forEach((called, index) => {
      const element = functions + index * functionStruct.size;
      writer.text(element + functionStruct.fields.schema, called.schema);
      writer.text(element + functionStruct.fields.name, called.name);
    });
    writer.text(fields.parse_error, facts.parseError);
  }
  if (parts.sql) writer.bytes(fields.sql, statement.sql);
  writer.text(fields.parse_tree, parts.parseTree);
  return writer.finish();
}

/** A frame that begins with one struct and lies by itself: what pooler_create is given. */
export function encodeCreateInput(config: string, name: string, worker: number, grammar: number): Block {
  const struct = structs.pooler_create_input;
  const writer = new BlockWriter(struct.size);
  writer.u32(struct.fields.size, struct.size);
  writer.u32(struct.fields.host_minor, constants.POOLER_ABI_MINOR);
  writer.text(struct.fields.config, config);
  writer.text(struct.fields.name, name);
  writer.u32(struct.fields.worker, worker);
  writer.u32(struct.fields.grammar, grammar);
  return writer.finish();
}

class BlockWriter {
  #buffer: Buffer;
  #end: number;
  readonly #offsets: number[] = [];

  constructor(structBytes: number) {
    this.#buffer = Buffer.alloc(512);
    this.#end = structBytes;
  }

  u32(at: number, value: number): void {
    this.#buffer.writeUInt32LE(value >>> 0, at);
  }

  u64(at: number, value: number): void {
    this.u32(at, value);
    this.u32(at + 4, Math.floor(value / 0x1_0000_0000));
  }

  /** Sixteen hexadecimal digits. */
  hex64(at: number, digits: string): void {
    this.u32(at, Number.parseInt(digits.slice(8), 16));
    this.u32(at + 4, Number.parseInt(digits.slice(0, 8), 16));
  }

  /** Space for an array; returns where its first element is. Nothing is written for none. */
  array(at: number, count: number, stride: number): number {
    if (count === 0) return 0;
    this.#end = (this.#end + 7) & ~7;
    const start = this.#end;
    this.#reserve(count * stride);
    this.#offset(at, start);
    this.u32(at + 4, count);
    this.u32(at + 8, stride);
    return start;
  }

  text(at: number, text: string | null): void {
    if (text === null) return;
    const start = this.#end;
    const length = Buffer.byteLength(text);
    this.#reserve(length);
    this.#buffer.write(text, start);
    this.#slice(at, start, length);
  }

  bytes(at: number, bytes: Uint8Array): void {
    const start = this.#end;
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, start);
    this.#slice(at, start, bytes.length);
  }

  finish(): Block {
    const bytes = (this.#end + 7) & ~7;
    const words = new Uint32Array(bytes / 4);
    new Uint8Array(words.buffer).set(this.#buffer.subarray(0, this.#end));
    return { words, offsets: Uint32Array.from(this.#offsets) };
  }

  #slice(at: number, start: number, length: number): void {
    this.#offset(at, start);
    this.u32(at + sliceBytes / 2, length);
  }

  #offset(at: number, value: number): void {
    this.u32(at, value);
    this.#offsets.push(at / 4);
  }

  #reserve(length: number): void {
    this.#end += length;
    if (this.#end <= this.#buffer.length) return;
    const larger = Buffer.alloc(Math.max(this.#end, this.#buffer.length * 2));
    larger.set(this.#buffer);
    this.#buffer = larger;
  }
}
