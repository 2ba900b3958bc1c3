// Names and values written as SQL, for statements that the pooler sends itself.

/** Always in double quotes, so that no keyword list is needed. NUL cannot be in a name and is dropped. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll("\0", "").replaceAll('"', '""')}"`;
}

/** Reads the same whatever standard_conforming_strings says: with a backslash in it, it becomes an E'' string. */
export function quoteLiteral(value: string): string {
  const quoted = value.replaceAll("\0", "").replaceAll("'", "''");
  return quoted.includes("\\") ? ` E'${quoted.replaceAll("\\", "\\\\")}'` : `'${quoted}'`;
}
