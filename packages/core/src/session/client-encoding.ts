// Texts of the pooler and of plugins, which are UTF-8, for a client of another encoding. What that encoding has not becomes "?".
import { HEADER_BYTES } from "../protocol/codes.js";
import { decoderOf } from "../sql/encodings.js";

type Encode = (text: string) => Buffer;

const utf8: Encode = (text) => Buffer.from(text);
const encoders = new Map<string, Encode>([
  ["UTF8", utf8],
  ["SQL_ASCII", utf8],
]);

export function encodeText(text: string, encoding: string): Buffer {
  let encode = encoders.get(encoding);
  if (encode === undefined) {
    encode = createEncoder(encoding);
    encoders.set(encoding, encode);
  }
  return encode(text);
}

/** An ErrorResponse whose texts are UTF-8. */
export function encodeError(message: Buffer, encoding: string): Buffer {
  if (!message.some((byte) => byte > 0x7f)) return message;
  // Fields are told apart by ASCII letters and NUL, which are the same in every encoding.
  const body = encodeText(message.toString("utf8", HEADER_BYTES), encoding);
  const encoded = Buffer.concat([message.subarray(0, HEADER_BYTES), body]);
  encoded.writeInt32BE(encoded.length - 1, 1);
  return encoded;
}

/** Knows the characters of one byte. */
function createEncoder(encoding: string): Encode {
  const decode = decoderOf(encoding);
  const bytes = new Map<string, number>();
  for (let byte = 0x80; byte <= 0xff; byte++) {
    const character = decode?.(Buffer.from([byte])) ?? null;
    if (character !== null) bytes.set(character, byte);
  }
  return (text) =>
    Buffer.from(Array.from(text, (character) => (character <= "\x7f" ? character.charCodeAt(0) : (bytes.get(character) ?? 0x3f))));
}
