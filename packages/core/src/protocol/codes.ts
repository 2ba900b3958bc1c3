// Message types and request codes of the PostgreSQL frontend/backend protocol 3.0 (chapter "Frontend/Backend Protocol").

/** What a client sends. */
export const Frontend = {
  BIND: 0x42, // B
  CLOSE: 0x43, // C
  COPY_DATA: 0x64, // d
  COPY_DONE: 0x63, // c
  COPY_FAIL: 0x66, // f
  DESCRIBE: 0x44, // D
  EXECUTE: 0x45, // E
  FLUSH: 0x48, // H
  FUNCTION_CALL: 0x46, // F
  PARSE: 0x50, // P
  PASSWORD: 0x70, // p: also SASL responses
  QUERY: 0x51, // Q
  SYNC: 0x53, // S
  TERMINATE: 0x58, // X
} as const;

/** What a server sends. */
export const Backend = {
  AUTHENTICATION: 0x52, // R
  BACKEND_KEY_DATA: 0x4b, // K
  BIND_COMPLETE: 0x32, // 2
  CLOSE_COMPLETE: 0x33, // 3
  COMMAND_COMPLETE: 0x43, // C
  COPY_BOTH_RESPONSE: 0x57, // W
  COPY_DATA: 0x64, // d
  COPY_DONE: 0x63, // c
  COPY_IN_RESPONSE: 0x47, // G
  COPY_OUT_RESPONSE: 0x48, // H
  DATA_ROW: 0x44, // D
  EMPTY_QUERY_RESPONSE: 0x49, // I
  ERROR_RESPONSE: 0x45, // E
  FUNCTION_CALL_RESPONSE: 0x56, // V
  NEGOTIATE_PROTOCOL_VERSION: 0x76, // v
  NO_DATA: 0x6e, // n
  NOTICE_RESPONSE: 0x4e, // N
  NOTIFICATION_RESPONSE: 0x41, // A
  PARAMETER_DESCRIPTION: 0x74, // t
  PARAMETER_STATUS: 0x53, // S
  PARSE_COMPLETE: 0x31, // 1
  PORTAL_SUSPENDED: 0x73, // s
  READY_FOR_QUERY: 0x5a, // Z
  ROW_DESCRIPTION: 0x54, // T
} as const;

/** The second word of a startup packet that is not one. */
export const Request = {
  CANCEL: 80877102,
  SSL: 80877103,
  GSSENC: 80877104,
} as const;

export const PROTOCOL_3_0 = 196608;

/** Transaction status of ReadyForQuery. */
export const TransactionStatus = {
  IDLE: 0x49, // I
  IN_TRANSACTION: 0x54, // T
  FAILED: 0x45, // E
} as const;

/** Bytes of a message's type and length. */
export const HEADER_BYTES = 5;

/** PostgreSQL's MAX_STARTUP_PACKET_LENGTH. */
export const MAX_STARTUP_BYTES = 10_000;

/** Largest message length that PostgreSQL takes (1 GB - 1). */
export const MAX_MESSAGE_BYTES = 0x3fffffff;
