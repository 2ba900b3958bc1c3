// Reads the URL of a server. Messages follow on "the URL " and never show it: it may hold a password.
import { isIP } from "node:net";
import type { ServerTlsMode } from "./types.js";

export interface ServerUrl {
  /** Name, address without brackets, or the directory of a Unix-domain socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string | null;
  readonly user: string | null;
  readonly password: string | null;
  readonly sslmode: ServerTlsMode;
  /** Path as the URL has it. */
  readonly sslrootcert: string | null;
}

export type ServerUrlResult = { readonly ok: true; readonly url: ServerUrl } | { readonly ok: false; readonly message: string };

const sslmodes: readonly ServerTlsMode[] = ["disable", "require", "verify-full"];

/** Parameters of libpq that have their place elsewhere. */
const insteadOf: Readonly<Record<string, string>> = {
  connect_timeout: "set timeouts.server_connect",
  application_name: "clients' own names are passed on",
  options: "clients set their own parameters",
  target_session_attrs: "list the primary and its replicas apart",
  load_balance_hosts: "list replicas, each with its own URL",
  user: "write it before the host: postgres://user@host",
  password: 'write it before the host, or as password = "env:NAME" beside the URL',
  dbname: "write it as the path: postgres://host/database",
  port: "write it after the host: postgres://host:port",
  sslcert: "client certificates are not supported towards servers",
  sslkey: "client certificates are not supported towards servers",
};

export function parseServerUrl(text: string): ServerUrlResult {
  try {
    return { ok: true, url: parse(text) };
  } catch (cause) {
    if (cause instanceof UrlProblem) return { ok: false, message: cause.message };
    throw cause;
  }
}

/** Stays in this file. */
class UrlProblem extends Error {}

function parse(text: string): ServerUrl {
  if (text.trim() !== text) throw new UrlProblem("begins or ends with a blank");
  const match = /^(?<scheme>[a-z]+):\/\/(?<authority>[^/?#]*)(?:\/(?<database>[^?#]*))?(?:\?(?<query>[^#]*))?(?<fragment>#.*)?$/i.exec(
    text,
  )?.groups;
  const scheme = match?.["scheme"]?.toLowerCase();
  if (match === undefined || (scheme !== "postgres" && scheme !== "postgresql")) {
    throw new UrlProblem("is not the URL of a server; expected postgres://user:password@host:port/database");
  }
  const { authority = "", database = "", query = "", fragment } = match;
  if (fragment !== undefined || `${database}${query}`.includes("@")) {
    throw new UrlProblem(
      'has characters that must be percent-encoded in user and password: "@" as %40, "/" as %2F, "#" as %23, "?" as %3F, ":" as %3A',
    );
  }
  if (database.includes("/")) throw new UrlProblem("has more than one path element; the path is the database's name");
  const at = authority.lastIndexOf("@");
  const { sslmode, sslrootcert, host: socketDirectory } = readQuery(query);
  return {
    ...readHost(authority.slice(at + 1), socketDirectory),
    ...readUser(at === -1 ? "" : authority.slice(0, at)),
    database: decode(database, "database") || null,
    sslmode,
    sslrootcert,
  };
}

function readUser(userinfo: string): { user: string | null; password: string | null } {
  const colon = userinfo.indexOf(":");
  const user = colon === -1 ? userinfo : userinfo.slice(0, colon);
  const password = colon === -1 ? "" : userinfo.slice(colon + 1);
  if (user === "" && password !== "") throw new UrlProblem("has a password but no user");
  return { user: decode(user, "user") || null, password: decode(password, "password") || null };
}

function readHost(hostAndPort: string, socketDirectory: string | null): { host: string; port: number } {
  if (hostAndPort.includes(",")) throw new UrlProblem("names several hosts; write one URL for each server: a primary and its replicas");
  const match = /^(?:\[(?<v6>[^\]]*)\]|(?<name>[^:]*))(?::(?<port>.*))?$/.exec(hostAndPort)?.groups;
  if (match === undefined)
    throw new UrlProblem("has a host that cannot be read; IPv6 addresses go in brackets: postgres://[::1]:5432/database");
  const { v6, name = "", port } = match;
  const host = v6 ?? decode(name, "host");
  if (v6 !== undefined && isIP(v6) !== 6) throw new UrlProblem("has something in brackets that is not an IPv6 address");
  if (v6 === undefined && port?.includes(":"))
    throw new UrlProblem("has a host that cannot be read; IPv6 addresses go in brackets: postgres://[::1]:5432/database");
  if (socketDirectory !== null && host !== "")
    throw new UrlProblem("names a host twice; a Unix-domain socket is written postgres:///database?host=/directory");
  const where = socketDirectory ?? host;
  if (where === "") throw new UrlProblem("has no host; expected postgres://user:password@host:port/database");
  if (/[\s\0@]/.test(where)) throw new UrlProblem("has a host with a character that hosts cannot have");
  return { host: where, port: readPort(port) };
}

function readPort(port: string | undefined): number {
  if (port === undefined || port === "") return 5432;
  const number = Number(port);
  if (!/^\d+$/.test(port) || number < 1 || number > 65_535) throw new UrlProblem("has a port that is not a whole number from 1 to 65535");
  return number;
}

function readQuery(query: string): { sslmode: ServerTlsMode; sslrootcert: string | null; host: string | null } {
  let sslmode: ServerTlsMode = "disable";
  let sslrootcert: string | null = null;
  let host: string | null = null;
  for (const pair of query.split("&").filter((one) => one !== "")) {
    const equals = pair.indexOf("=");
    const name = decode(equals === -1 ? pair : pair.slice(0, equals), "parameter");
    const value = equals === -1 ? "" : decode(pair.slice(equals + 1), name);
    if (name === "sslmode") sslmode = readSslmode(value);
    else if (name === "sslrootcert") sslrootcert = value;
    else if (name === "host" && value.startsWith("/")) host = value;
    else throw new UrlProblem(refusedParameter(name));
  }
  if (sslrootcert !== null && sslmode !== "verify-full") throw new UrlProblem("has sslrootcert, which needs sslmode=verify-full");
  if (host !== null && sslmode !== "disable")
    throw new UrlProblem("asks for TLS over a Unix-domain socket, which PostgreSQL does not have");
  // libpq's word for the certificate authorities of the system.
  return { sslmode, sslrootcert: sslrootcert === "system" ? null : sslrootcert, host };
}

function readSslmode(value: string): ServerTlsMode {
  const mode = sslmodes.find((known) => known === value);
  if (mode !== undefined) return mode;
  throw new UrlProblem(`has sslmode=${value}, which is not supported; expected one of ${sslmodes.join(", ")}`);
}

function refusedParameter(name: string): string {
  const instead = Object.hasOwn(insteadOf, name) ? insteadOf[name] : undefined;
  if (instead !== undefined) return `has the parameter ${name}, which does not belong there: ${instead}`;
  return `has the parameter ${name}, which is not supported; expected sslmode, sslrootcert, or host=/directory`;
}

function decode(text: string, what: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text);
  } catch {
    throw new UrlProblem(`has a wrong percent-encoding in its ${what}; a "%" itself is written %25`);
  }
  if (decoded.includes("\0")) throw new UrlProblem(`has a zero byte in its ${what}`);
  return decoded;
}
