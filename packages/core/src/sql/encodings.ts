// Client encodings of PostgreSQL as text that the grammar can read (UTF-8). An encoding that is not here, or bytes that are none
// of its, give null: then nothing is said of the statement.

export type Decode = (bytes: Buffer) => string | null;

/** TextDecoder labels by PostgreSQL's name without case, blanks and punctuation. */
const LABELS: ReadonlyMap<string, string> = new Map([
  ["utf8", "utf-8"],
  ["unicode", "utf-8"],
  // As it is: bytes that are not UTF-8 would be names and values that nobody can compare.
  ["sqlascii", "utf-8"],
  ["latin2", "iso-8859-2"],
  ["iso88592", "iso-8859-2"],
  ["latin3", "iso-8859-3"],
  ["iso88593", "iso-8859-3"],
  ["latin4", "iso-8859-4"],
  ["iso88594", "iso-8859-4"],
  ["latin5", "iso-8859-9"],
  ["iso88599", "iso-8859-9"],
  ["latin6", "iso-8859-10"],
  ["iso885910", "iso-8859-10"],
  ["latin7", "iso-8859-13"],
  ["iso885913", "iso-8859-13"],
  ["latin8", "iso-8859-14"],
  ["iso885914", "iso-8859-14"],
  ["latin9", "iso-8859-15"],
  ["iso885915", "iso-8859-15"],
  ["latin10", "iso-8859-16"],
  ["iso885916", "iso-8859-16"],
  ["iso88595", "iso-8859-5"],
  ["iso88596", "iso-8859-6"],
  ["iso88597", "iso-8859-7"],
  ["iso88598", "iso-8859-8"],
  ["win866", "ibm866"],
  ["win874", "windows-874"],
  ["win1250", "windows-1250"],
  ["win1251", "windows-1251"],
  ["win1252", "windows-1252"],
  ["win1253", "windows-1253"],
  ["win1254", "windows-1254"],
  ["win1255", "windows-1255"],
  ["win1256", "windows-1256"],
  ["win1257", "windows-1257"],
  ["win1258", "windows-1258"],
  ["koi8r", "koi8-r"],
  ["koi8u", "koi8-u"],
  ["eucjp", "euc-jp"],
  ["euckr", "euc-kr"],
  ["euccn", "gbk"],
]);

/** Not SJIS, BIG5, GBK, UHC, GB18030 and JOHAB: a byte of theirs can look like a backslash or semicolon. */
export function decoderOf(encoding: string): Decode | null {
  const name = encoding.toLowerCase().replace(/[^a-z0-9]/g, "");
  // "iso-8859-1" is windows-1252 to a TextDecoder.
  if (name === "latin1" || name === "iso88591") return (bytes) => bytes.toString("latin1");
  const label = LABELS.get(name);
  if (label === undefined) return null;
  let decoder: InstanceType<typeof TextDecoder>;
  try {
    decoder = new TextDecoder(label, { fatal: true, ignoreBOM: true });
  } catch {
    // Not every ICU has all of them.
    return null;
  }
  return (bytes) => {
    try {
      return decoder.decode(bytes);
    } catch {
      return null;
    }
  };
}
