// Bytes of the authentication messages, both directions. Knows no mechanism.

/** Authentication codes of a server's 'R' messages. */
export const AuthenticationCode = {
  OK: 0,
  KERBEROS_V5: 2,
  CLEARTEXT_PASSWORD: 3,
  MD5_PASSWORD: 5,
  GSS: 7,
  GSS_CONTINUE: 8,
  SSPI: 9,
  SASL: 10,
  SASL_CONTINUE: 11,
  SASL_FINAL: 12,
} as const;

const AUTHENTICATION = 0x52; // R
const PASSWORD = 0x70; // p

/** PostgreSQL takes no longer SASL message (PG_MAX_SASL_MESSAGE_LENGTH). */
export const LARGEST_SASL_MESSAGE_BYTES = 1024;

/** A complete 'R' message. */
export function authenticationMessage(code: number, data: Buffer | null = null): Buffer {
  const length = data?.length ?? 0;
  const message = Buffer.allocUnsafe(9 + length);
  message[0] = AUTHENTICATION;
  message.writeInt32BE(8 + length, 1);
  message.writeInt32BE(code, 5);
  data?.copy(message, 9);
  return message;
}

/** A complete 'p' message. */
export function passwordMessage(...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const message = Buffer.allocUnsafe(5 + body.length);
  message[0] = PASSWORD;
  message.writeInt32BE(4 + body.length, 1);
  body.copy(message, 5);
  return message;
}

export const cstring = (text: string): Buffer => Buffer.from(`${text}\0`);

/** The string of a body that is one string and its NUL, byte for byte (latin1); null when it is anything else. */
export function soleString(body: Buffer): string | null {
  return body.length > 0 && body.indexOf(0) === body.length - 1 ? body.toString("latin1", 0, body.length - 1) : null;
}

export interface SaslInitialResponse {
  readonly mechanism: string;
  /** Null: the client sent no first message yet. */
  readonly data: Buffer | null;
}

/** SASLInitialResponse: mechanism, NUL, Int32 length or -1, data; null when it is malformed. */
export function readSaslInitialResponse(body: Buffer): SaslInitialResponse | null {
  const stop = body.indexOf(0);
  if (stop < 0 || body.length < stop + 5) return null;
  const mechanism = body.toString("latin1", 0, stop);
  const length = body.readInt32BE(stop + 1);
  const data = body.subarray(stop + 5);
  if (length === -1) return data.length === 0 ? { mechanism, data: null } : null;
  return length === data.length ? { mechanism, data } : null;
}

/** Mechanism names of an AuthenticationSASL body: strings up to an empty one. */
export function readMechanisms(body: Buffer): readonly string[] {
  return body.toString("latin1").split("\0\0", 1)[0]?.split("\0").filter(Boolean) ?? [];
}
