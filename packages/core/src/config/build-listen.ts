// [listen] and [metrics] of the file → what the pooler listens on. Reads and checks certificates.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { isAbsolute } from "node:path";
import type { KeyPath } from "./positions.js";
import { type Problems, showValue } from "./problems.js";
import type { FileConfig } from "./schema.js";
import type { References } from "./secrets.js";
import type { ListenConfig, PoolerConfig } from "./types.js";

export function buildListen(listen: FileConfig["listen"], references: References, problems: Problems): ListenConfig {
  checkHost(["listen", "host"], listen.host, problems);
  if (listen.auth === "trust" && !isLoopback(listen.host)) {
    problems.value(
      ["listen", "auth"],
      `"trust" lets everyone in without a password and is allowed only when listen.host is a loopback address; it is ${JSON.stringify(listen.host)}. Use "scram-sha-256", or host = "127.0.0.1"`,
    );
  }
  if (isAbsolute(listen.host) && Buffer.byteLength(`${listen.host}/.s.PGSQL.${listen.port}`) > longestSocketPathBytes) {
    problems.value(
      ["listen", "host"],
      `the path of the socket in this directory is longer than ${longestSocketPathBytes} bytes, which the system does not take`,
    );
  }
  const { host, port, backlog, auth } = listen;
  return { host, port, backlog, auth, tls: buildTls(listen.tls, references, problems) };
}

export function buildMetrics(file: Pick<FileConfig, "metrics" | "listen">, problems: Problems): PoolerConfig["metrics"] {
  const { metrics, listen } = file;
  if (metrics === undefined) return null;
  checkHost(["metrics", "host"], metrics.host, problems);
  if (metrics.port !== 0 && metrics.port === listen.port && metrics.host === listen.host) {
    problems.value(["metrics", "port"], `${metrics.port} is the port that clients connect to; the metrics need their own`);
  }
  return { host: metrics.host, port: metrics.port };
}

// sockaddr_un has 108 bytes on Linux and 104 on macOS, one of them for the final zero.
const longestSocketPathBytes = 103;

export function isLoopback(host: string): boolean {
  return isAbsolute(host) || host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

function checkHost(path: KeyPath, host: string, problems: Problems): void {
  if (isIP(host) !== 0 || isAbsolute(host)) return;
  if (host === "*") {
    problems.value(path, '"*" is not an address; "0.0.0.0" listens on every IPv4 address, "::" on IPv6 ones too');
    return;
  }
  const isName = /^(?=.{1,253}$)[a-z\d]([a-z\d_-]*[a-z\d])?(\.[a-z\d]([a-z\d_-]*[a-z\d])?)*$/i.test(host);
  // 127.0.0.300 would be taken for a name and looked up.
  if (!isName || /^[\d.]+$/.test(host))
    problems.value(
      path,
      `${showValue(path, host)} is not an address; expected one such as "127.0.0.1", "0.0.0.0", "::1", or an absolute directory`,
    );
}

function buildTls(tls: FileConfig["listen"]["tls"], references: References, problems: Problems): ListenConfig["tls"] {
  const at = (name: string): KeyPath => ["listen", "tls", name];
  if (tls.mode === "disable") {
    if (tls.cert !== undefined || tls.key !== undefined)
      problems.warn(at("mode"), 'certificate and key are not used while mode is "disable"');
    return { mode: tls.mode, cert: null, key: null, ca: null };
  }
  for (const name of ["cert", "key"] as const) {
    if (tls[name] === undefined) problems.key(at(name), `is missing; mode = ${JSON.stringify(tls.mode)} needs cert and key`);
  }
  if (tls.mode === "verify-full" && tls.ca === undefined)
    problems.key(at("ca"), 'is missing; mode = "verify-full" needs the authorities that sign clients\' certificates');
  if (tls.mode !== "verify-full" && tls.ca !== undefined)
    problems.warn(at("ca"), `is not used; only mode = "verify-full" looks at clients' certificates`);

  const cert = tls.cert === undefined ? null : readCertificate(at("cert"), tls.cert, references, problems);
  const key = tls.key === undefined ? null : readKey(at("key"), tls.key, references, problems);
  const ca = tls.ca === undefined ? null : readCertificate(at("ca"), tls.ca, references, problems);
  if (cert !== null && key !== null && !cert.x509.checkPrivateKey(key.key))
    problems.value(at("key"), "this is not the key of the certificate in listen.tls.cert");
  if (cert !== null) warnWhenNotValid(at("cert"), cert.x509, problems);
  return { mode: tls.mode, cert: cert?.pem ?? null, key: key?.pem ?? null, ca: ca?.pem ?? null };
}

export function readCertificate(
  path: KeyPath,
  file: string,
  references: References,
  problems: Problems,
): { readonly pem: string; readonly x509: X509Certificate } | null {
  const pem = references.file(path, file);
  if (pem === null) return null;
  try {
    return { pem, x509: new X509Certificate(pem) };
  } catch {
    problems.value(path, `the file ${JSON.stringify(file)} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)`);
    return null;
  }
}

function readKey(
  path: KeyPath,
  file: string,
  references: References,
  problems: Problems,
): { readonly pem: string; readonly key: KeyObject } | null {
  const pem = references.file(path, file);
  if (pem === null) return null;
  try {
    return { pem, key: createPrivateKey(pem) };
  } catch (cause) {
    const encrypted = pem.includes("ENCRYPTED") || (cause instanceof Error && "code" in cause && cause.code === "ERR_MISSING_PASSPHRASE");
    const what = encrypted
      ? "is encrypted; a key without passphrase is needed"
      : "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)";
    problems.value(path, `the file ${JSON.stringify(file)} ${what}`);
    return null;
  }
}

function warnWhenNotValid(path: KeyPath, certificate: X509Certificate, problems: Problems): void {
  const now = Date.now();
  if (Date.parse(certificate.validTo) < now) problems.warn(path, `this certificate was valid until ${certificate.validTo}`);
  if (Date.parse(certificate.validFrom) > now) problems.warn(path, `this certificate is not valid before ${certificate.validFrom}`);
}
