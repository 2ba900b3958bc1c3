// SCRAM-SHA-256 as RFC 5802 and RFC 7677 compute it, and PostgreSQL's form of a stored verifier. Pure functions; the exchange
// itself is in scram-verifier.ts (clients' side) and scram-prover.ts (servers' side).
import { createHmac, hash, pbkdf2, pbkdf2Sync, timingSafeEqual } from "node:crypto";
import { createRequire } from "node:module";

export const SCRAM_SHA_256 = "SCRAM-SHA-256";
export const SCRAM_SHA_256_PLUS = "SCRAM-SHA-256-PLUS";
export const KEY_BYTES = 32;
/** What PostgreSQL uses, too. */
export const DEFAULT_ITERATIONS = 4096;
export const SALT_BYTES = 16;
export const NONCE_BYTES = 18;

/** What verifies a client: the contents of a stored verifier. */
export interface ScramSecret {
  readonly iterations: number;
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** What proves a client. */
export interface ScramKeys {
  readonly clientKey: Buffer;
  readonly serverKey: Buffer;
}

/** Keys that a client's own login has shown, and the salt and iterations that they hold for. */
export interface PassThroughKeys extends ScramKeys {
  readonly iterations: number;
  readonly salt: Buffer;
}

export const hmac = (key: Buffer, data: string | Buffer): Buffer =>
  typeof data === "string" ? createHmac("sha256", key).update(data, "latin1").digest() : createHmac("sha256", key).update(data).digest();

export const sha256 = (data: Buffer): Buffer => hash("sha256", data, "buffer");

export function xor(a: Buffer, b: Buffer): Buffer {
  const result = Buffer.alloc(a.length);
  for (let i = 0; i < a.length; i++) result[i] = (a[i] as number) ^ (b[i] as number);
  return result;
}

export const equalBytes = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b);

/** A password as PostgreSQL hashes it (pg_saslprep): ASCII as it is, normalized where that works, else its bytes. */
export function normalizePassword(password: string): string {
  if (/^[\0-\x7f]*$/.test(password)) return password;
  // Its tables are large, and hardly any password needs them.
  const { saslprep } = createRequire(import.meta.url)("@mongodb-js/saslprep") as typeof import("@mongodb-js/saslprep");
  try {
    return saslprep(password) || password;
  } catch {
    return password;
  }
}

export function saltedPassword(password: string, salt: Buffer, iterations: number): Buffer {
  return pbkdf2Sync(normalizePassword(password), salt, iterations, KEY_BYTES, "sha256");
}

/** Not on this thread: 4,096 rounds are about a millisecond. */
export function saltedPasswordAsync(password: string, salt: Buffer, iterations: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    pbkdf2(normalizePassword(password), salt, iterations, KEY_BYTES, "sha256", (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

export function keysOf(salted: Buffer): ScramKeys {
  return { clientKey: hmac(salted, "Client Key"), serverKey: hmac(salted, "Server Key") };
}

export function secretOf(salted: Buffer, salt: Buffer, iterations: number): ScramSecret {
  const { clientKey, serverKey } = keysOf(salted);
  return { iterations, salt, storedKey: sha256(clientKey), serverKey };
}

/** Strict: Node's own decoder takes anything. Null when it is not base64, or empty. */
export function decodeBase64(text: string): Buffer | null {
  if (text.length === 0 || text.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return null;
  return Buffer.from(text, "base64");
}

/** SCRAM-SHA-256$iterations:salt$storedKey:serverKey, as in pg_authid.rolpassword; null when it is not that. */
export function parseScramVerifier(verifier: string): ScramSecret | null {
  const parts = /^SCRAM-SHA-256\$([1-9]\d{0,8}):([^$:]+)\$([^$:]+):([^$:]+)$/.exec(verifier);
  if (parts === null) return null;
  const [, iterations = "", saltText = "", storedText = "", serverText = ""] = parts;
  const salt = decodeBase64(saltText);
  const storedKey = decodeBase64(storedText);
  const serverKey = decodeBase64(serverText);
  if (salt === null || storedKey?.length !== KEY_BYTES || serverKey?.length !== KEY_BYTES) return null;
  return { iterations: Number(iterations), salt, storedKey, serverKey };
}

export function formatScramVerifier(secret: ScramSecret): string {
  const { iterations, salt, storedKey, serverKey } = secret;
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${storedKey.toString("base64")}:${serverKey.toString("base64")}`;
}
