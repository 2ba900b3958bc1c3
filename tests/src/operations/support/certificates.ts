// Certificates for tests, made at the time: an authority and what it signs, all with EC keys. Knows just enough DER for X.509 v3.
import { createSign, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";

export interface Certificate {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS #8. */
  readonly privateKey: string;
}

export interface Authority extends Certificate {
  /** `names`: DNS names and IPv4 addresses that the certificate is good for. */
  issue(commonName: string, names?: readonly string[]): Certificate;
}

export function createAuthority(commonName: string): Authority {
  const keys = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const isAuthority = extension("551d13", sequence(der(0x01, Buffer.from([0xff]))), true);
  const own = sign(commonName, commonName, keys.publicKey, keys.privateKey, [isAuthority]);
  return {
    ...pem(own, keys.privateKey),
    issue(subject, names = []) {
      const subjectKeys = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
      const extensions = names.length === 0 ? [] : [extension("551d11", sequence(...names.map(alternativeName)), false)];
      return pem(sign(subject, commonName, subjectKeys.publicKey, keys.privateKey, extensions), subjectKeys.privateKey);
    },
  };
}

function sign(subject: string, issuer: string, publicKey: KeyObject, issuerKey: KeyObject, extensions: readonly Buffer[]): Buffer {
  const algorithm = sequence(objectId("2a8648ce3d040302")); // ecdsa-with-SHA256
  const dayMs = 24 * 60 * 60 * 1000;
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))), // version 3
    integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    distinguishedName(issuer),
    sequence(utcTime(new Date(Date.now() - dayMs)), utcTime(new Date(Date.now() + 2 * dayMs))),
    distinguishedName(subject),
    publicKey.export({ type: "spki", format: "der" }),
    ...(extensions.length === 0 ? [] : [der(0xa3, sequence(...extensions))]),
  );
  const signature = createSign("sha256").update(body).sign(issuerKey);
  return sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
}

function pem(certificate: Buffer, key: KeyObject): Certificate {
  const lines = certificate.toString("base64").match(/.{1,64}/g) ?? [];
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`,
    privateKey: key.export({ type: "pkcs8", format: "pem" }) as string,
  };
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const lengthBytes = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...lengthBytes]), content]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, Buffer.concat(parts));
const integer = (bytes: Buffer): Buffer => der(0x02, bytes);
const objectId = (hex: string): Buffer => der(0x06, Buffer.from(hex, "hex"));
const utcTime = (date: Date): Buffer =>
  der(
    0x17,
    Buffer.from(
      date
        .toISOString()
        .replace(/^20|[-:T]|\.\d+/g, "")
        .replace(/Z?$/, "Z"),
    ),
  );

const distinguishedName = (commonName: string): Buffer =>
  sequence(der(0x31, sequence(objectId("550403"), der(0x0c, Buffer.from(commonName)))));

const extension = (id: string, value: Buffer, critical: boolean): Buffer =>
  sequence(objectId(id), ...(critical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value));

const alternativeName = (name: string): Buffer =>
  /^[\d.]+$/.test(name) ? der(0x87, Buffer.from(name.split(".").map(Number))) : der(0x82, Buffer.from(name));
