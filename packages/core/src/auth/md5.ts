// PostgreSQL's MD5 authentication: md5(md5(password + user) + salt), with "md5" before each.
import { createHash } from "node:crypto";

const digest = (...parts: readonly (string | Buffer)[]): string => {
  const hash = createHash("md5");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};

/** What pg_authid.rolpassword holds. */
export function md5Verifier(password: string, user: string): string {
  return `md5${digest(password, user)}`;
}

export const isMd5Verifier = (verifier: string): boolean => /^md5[0-9a-f]{32}$/.test(verifier);

/** What a client answers to AuthenticationMD5Password. */
export function md5Response(verifier: string, salt: Buffer): string {
  return `md5${digest(verifier.slice(3), salt)}`;
}
