// How the column types of the console look in a RowDescription: type OID and size. Values always come as text.
export const consoleTypes = {
  text: { oid: 25, size: -1 },
  int4: { oid: 23, size: 4 },
  int8: { oid: 20, size: 8 },
  float8: { oid: 701, size: 8 },
  numeric: { oid: 1700, size: -1 },
} as const;
