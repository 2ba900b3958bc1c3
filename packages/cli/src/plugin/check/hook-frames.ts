// Input frames of the hooks beside pooler_route_query, laid out like those of the other one.
import { constants, structs } from "@pooler/plugin-abi";
import { type BuiltFrame, FrameBuilder, putSession, putStatement, type SessionSpec, type StatementSpec } from "./frame-builder.js";

type Text = Buffer | string | null;
export type Pairs = readonly (readonly [name: Buffer | string, value: Buffer | string])[];

export interface ConnectSpec {
  readonly session: SessionSpec;
  readonly askedUser: Text;
  readonly askedDatabase: Text;
  readonly peerName: Text;
  readonly parameters: Pairs;
  readonly flags: number;
}

export interface ServerSpec {
  readonly flags: number;
  readonly id: bigint;
  readonly shard: number;
  readonly role: number;
  readonly database: Text;
  readonly user: Text;
  readonly address: Text;
  readonly parameters: Pairs;
}

export interface EndSpec {
  readonly flags: number;
  readonly queryId: number;
  readonly durationUs: bigint;
  readonly rows: bigint;
  readonly statement: StatementSpec;
  readonly session: SessionSpec;
  readonly role: number;
  readonly shard: number;
  readonly address: Text;
  readonly tag: Text;
  readonly sqlstate: Text;
  readonly message: Text;
}

export interface CellSpec {
  readonly name: Text;
  readonly typeOid: number;
  readonly format: number;
  /** Null is NULL. */
  readonly value: Buffer | string | null;
}

export interface RowSpec {
  readonly flags: number;
  readonly queryId: number;
  readonly statementId: number;
  readonly cookie: bigint;
  readonly row: bigint;
  readonly session: SessionSpec;
  readonly cells: readonly CellSpec[];
}

export function buildConnectInput(spec: ConnectSpec, growth = 0): BuiltFrame {
  const builder = new FrameBuilder(growth);
  const { fields } = structs.pooler_connect_input;
  const at = builder.struct("pooler_connect_input");
  const { flags, askedUser, askedDatabase, peerName } = spec;
  builder.put(at, "pooler_connect_input", { flags, asked_user: askedUser, asked_database: askedDatabase, peer_name: peerName });
  builder.ref(at + fields.session, putSession(builder, spec.session));
  putPairs(builder, at + fields.parameters, spec.parameters);
  return builder.finish();
}

export function buildDisconnectInput(session: SessionSpec, flags: number, durationUs: bigint, growth = 0): BuiltFrame {
  const builder = new FrameBuilder(growth);
  const at = builder.struct("pooler_disconnect_input");
  builder.put(at, "pooler_disconnect_input", { flags, duration_us: durationUs });
  builder.ref(at + structs.pooler_disconnect_input.fields.session, putSession(builder, session));
  return builder.finish();
}

export function buildServerInput(spec: ServerSpec, growth = 0): BuiltFrame {
  const builder = new FrameBuilder(growth);
  const at = builder.struct("pooler_server_input");
  const { parameters, ...values } = spec;
  builder.put(at, "pooler_server_input", { ...values, process_id: 4711, server_database: spec.database });
  putPairs(builder, at + structs.pooler_server_input.fields.parameters, parameters);
  return builder.finish();
}

export function buildEndInput(spec: EndSpec, growth = 0): BuiltFrame {
  const builder = new FrameBuilder(growth);
  const { fields } = structs.pooler_end_input;
  const at = builder.struct("pooler_end_input");
  const { flags, queryId, durationUs, rows, role, shard, address, tag, sqlstate, message } = spec;
  builder.put(at, "pooler_end_input", {
    flags,
    query_id: BigInt(queryId),
    duration_us: durationUs,
    rows,
    protocol: constants.POOLER_PROTOCOL_EXTENDED,
    role,
    shard,
    address,
  });
  builder.ref(at + fields.session, putSession(builder, spec.session));
  builder.ref(at + fields.statement, putStatement(builder, { ...spec.statement, parseTree: null }));
  builder.put(at, "pooler_end_input", { sqlstate, message, command_tag: tag });
  return builder.finish();
}

export function buildRowInput(spec: RowSpec, growth = 0): BuiltFrame {
  const builder = new FrameBuilder(growth);
  const { fields } = structs.pooler_row_input;
  const at = builder.struct("pooler_row_input");
  const { flags, queryId, statementId, cookie, row, cells } = spec;
  builder.put(at, "pooler_row_input", { flags, query_id: BigInt(queryId), statement_id: BigInt(statementId), cookie, row });
  builder.ref(at + fields.session, putSession(builder, spec.session));
  const columns = cells.map(({ name, typeOid, format }) => ({ name, type_oid: typeOid, type_modifier: -1, type_size: -1, format }));
  builder.structs(at + fields.columns, "pooler_column", columns);
  const values = cells.map(({ value }) => ({ value, flags: value === null ? constants.POOLER_VALUE_NULL : 0 }));
  builder.structs(at + fields.values, "pooler_value", values);
  return builder.finish();
}

function putPairs(builder: FrameBuilder, at: number, pairs: Pairs): void {
  builder.structs(
    at,
    "pooler_pair",
    pairs.map(([name, value]) => ({ name, value })),
  );
}
