// What the hooks of a plugin in JavaScript beside route are given: rare enough to be read at once.
import { constants, structs } from "@pooler/plugin-abi";
import type { ConnectInput, DisconnectInput, EndInput, RowInput, ServerInput } from "@pooler/plugin-abi/js";
import { protocolOf, Record, roleOf, ScriptSession, ScriptStatement, shardOf } from "./script-input.js";
import type { FrameBytes } from "./script-memory.js";

const { pooler_connect_input: connect, pooler_disconnect_input: disconnect, pooler_server_input: server } = structs;
const { pooler_end_input: end, pooler_row_input: row, pooler_column: column, pooler_value: value } = structs;

export function connectInputOf(frame: FrameBytes): ConnectInput {
  const record = new Record(frame, 0);
  const { fields } = connect;
  return {
    session: new ScriptSession(record.struct(fields.session)),
    askedUser: record.text(fields.asked_user) ?? "",
    askedDatabase: record.text(fields.asked_database) ?? "",
    peerName: record.text(fields.peer_name),
    parameters: record.pairs(fields.parameters),
  };
}

export function disconnectInputOf(frame: FrameBytes): DisconnectInput {
  const record = new Record(frame, 0);
  return {
    session: new ScriptSession(record.struct(disconnect.fields.session)),
    loggedIn: (record.u32(disconnect.fields.flags) & constants.POOLER_DISCONNECT_LOGGED_IN) !== 0,
    durationMs: record.u64(disconnect.fields.duration_us) / 1000,
  };
}

export function serverInputOf(frame: FrameBytes): ServerInput {
  const record = new Record(frame, 0);
  const { fields } = server;
  return {
    id: record.u64(fields.id),
    shard: record.u32(fields.shard),
    role: record.u32(fields.role) === constants.POOLER_ROLE_WRITE ? "primary" : "replica",
    processId: record.u32(fields.process_id),
    database: record.text(fields.database) ?? "",
    serverDatabase: record.text(fields.server_database) ?? "",
    user: record.text(fields.user) ?? "",
    address: record.text(fields.address) ?? "",
    tls: (record.u32(fields.flags) & constants.POOLER_SERVER_TLS) !== 0,
    parameters: record.pairs(fields.parameters),
  };
}

export function endInputOf(frame: FrameBytes): EndInput {
  const record = new Record(frame, 0);
  const { fields } = end;
  const flags = record.u32(fields.flags);
  const local = (flags & constants.POOLER_END_LOCAL) !== 0;
  const session = record.struct(fields.session);
  return {
    queryId: record.u64(fields.query_id),
    durationMs: record.u64(fields.duration_us) / 1000,
    rows: record.u64(fields.rows),
    protocol: protocolOf(record.u32(fields.protocol)),
    failed: (flags & constants.POOLER_END_FAILED) !== 0,
    local,
    suspended: (flags & constants.POOLER_END_SUSPENDED) !== 0,
    rewritten: (flags & constants.POOLER_END_REWRITTEN) !== 0,
    role: local ? null : roleOf(record.u32(fields.role)),
    shard: local ? null : shardOf(record.u32(fields.shard)),
    address: record.text(fields.address),
    commandTag: record.text(fields.command_tag),
    sqlstate: record.text(fields.sqlstate),
    message: record.text(fields.message),
    statement: new ScriptStatement(record.struct(fields.statement), session),
    session: new ScriptSession(session),
  };
}

export function rowInputOf(frame: FrameBytes): RowInput {
  const record = new Record(frame, 0);
  const { fields } = row;
  return {
    queryId: record.u64(fields.query_id),
    statementId: record.u64(fields.statement_id),
    cookie: record.u64(fields.cookie),
    row: record.u64(fields.row),
    session: new ScriptSession(record.struct(fields.session)),
    columns: record.elements(fields.columns, (each) => ({
      name: each.text(column.fields.name) ?? "",
      typeOid: each.u32(column.fields.type_oid),
      format: each.u32(column.fields.format) === 1 ? ("binary" as const) : ("text" as const),
    })),
    values: record.elements(fields.values, (each) =>
      (each.u32(value.fields.flags) & constants.POOLER_VALUE_NULL) !== 0 ? null : each.bytes(value.fields.value),
    ),
  };
}
