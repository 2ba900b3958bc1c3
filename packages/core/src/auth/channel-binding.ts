// The data of channel binding type tls-server-end-point (RFC 5929): a hash of the server's certificate, by the hash
// function of the certificate's own signature, SHA-256 where that is MD5 or SHA-1.
import { createHash } from "node:crypto";

/** Hash functions by the object identifier of a signature algorithm, DER in hex. */
const HASH_OF_SIGNATURE: Readonly<Record<string, string>> = {
  "2a864886f70d010104": "sha256", // md5WithRSAEncryption
  "2a864886f70d010105": "sha256", // sha1WithRSAEncryption
  "2a864886f70d01010e": "sha224",
  "2a864886f70d01010b": "sha256",
  "2a864886f70d01010c": "sha384",
  "2a864886f70d01010d": "sha512",
  "2a8648ce3d0401": "sha256", // ecdsa-with-SHA1
  "2a8648ce3d040301": "sha224",
  "2a8648ce3d040302": "sha256",
  "2a8648ce3d040303": "sha384",
  "2a8648ce3d040304": "sha512",
};

interface Element {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

function elementAt(der: Buffer, at: number): Element | null {
  if (at + 2 > der.length) return null;
  let length = der[at + 1] as number;
  let start = at + 2;
  if (length >= 0x80) {
    const bytes = length & 0x7f;
    if (bytes === 0 || bytes > 3 || start + bytes > der.length) return null;
    length = der.readUIntBE(start, bytes);
    start += bytes;
  }
  return start + length > der.length ? null : { tag: der[at] as number, start, end: start + length };
}

const SEQUENCE = 0x30;
const OBJECT_IDENTIFIER = 0x06;

/** `certificate` is DER. Null when its signature names no single hash function (Ed25519, RSA-PSS): no channel binding then. */
export function tlsServerEndPoint(certificate: Buffer): Buffer | null {
  // Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OBJECT IDENTIFIER, … }, … }
  const outer = elementAt(certificate, 0);
  const signed = outer?.tag === SEQUENCE ? elementAt(certificate, outer.start) : null;
  const algorithm = signed?.tag === SEQUENCE ? elementAt(certificate, signed.end) : null;
  const identifier = algorithm?.tag === SEQUENCE ? elementAt(certificate, algorithm.start) : null;
  if (identifier?.tag !== OBJECT_IDENTIFIER) return null;
  const hash = HASH_OF_SIGNATURE[certificate.toString("hex", identifier.start, identifier.end)];
  return hash === undefined ? null : createHash(hash).update(certificate).digest();
}
