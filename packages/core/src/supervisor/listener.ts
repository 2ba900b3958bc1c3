// The listening descriptors: made here, inherited by the workers, never accepted on here. Node cannot make such a
// descriptor (its servers accept as soon as they listen), so libc is called. Knows nothing of workers.
import { lookup } from "node:dns/promises";
import { chmodSync, existsSync, lstatSync, unlinkSync } from "node:fs";
import { connect, isIPv4, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { PoolerError } from "../base/errors.js";
import { native } from "../base/native.js";
import type { ListenConfig } from "../config/types.js";
import {
  decodePort,
  encodeSocketAddress,
  familyNumber,
  type SocketAddress,
  type SocketPlatform,
  socketPlatforms,
} from "./socket-address.js";

export interface Listeners {
  /** As configured. */
  readonly host: string;
  /** The real one, also when the configuration says 0. */
  readonly port: number;
  /** One for each address that the host stands for. */
  readonly fds: readonly number[];
  /** Addresses of a host name that could not be used, in words; the others are. */
  readonly warnings: readonly string[];
  /** Gives the descriptors up (workers keep their own copies) and removes the socket's file. */
  close(): void;
}

/** `host` is an address, a name, or a directory for a Unix-domain socket (as in PostgreSQL: "<dir>/.s.PGSQL.<port>"). */
export async function openListeners(listen: Pick<ListenConfig, "host" | "port" | "backlog">): Promise<Listeners> {
  const system = loadSystem();
  if (listen.host.startsWith("/")) return openUnix(system, listen);
  const addresses = await resolve(listen.host);
  const fds: number[] = [];
  const warnings: string[] = [];
  let port = listen.port;
  let firstError: PoolerError | null = null;
  for (const address of addresses) {
    try {
      const opened = openOne(system, withPort(address, port), listen);
      fds.push(opened.fd);
      port = opened.port;
    } catch (error) {
      // "localhost" may stand for ::1 on a machine without IPv6: one address that works is enough.
      if (!(error instanceof PoolerError) || addresses.length === 1 || !isMissingAddress(error)) {
        for (const fd of fds) system.close(fd);
        throw error;
      }
      firstError ??= error;
      warnings.push(error.message);
    }
  }
  if (fds.length === 0 && firstError !== null) throw firstError;
  return {
    host: listen.host,
    port,
    fds,
    warnings,
    close() {
      for (const fd of fds.splice(0)) system.close(fd);
    },
  };
}

interface System {
  readonly platform: SocketPlatform;
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly setOption: (fd: number, level: number, option: number, value: Buffer, length: number) => number;
  readonly bind: (fd: number, address: Buffer, length: number) => number;
  readonly listen: (fd: number, backlog: number) => number;
  readonly getName: (fd: number, address: Buffer, length: Buffer) => number;
  readonly control: (fd: number, command: number, value: number) => number;
  readonly close: (fd: number) => number;
  readonly errno: () => number;
  readonly errnoName: (errno: number) => string;
}

function loadSystem(): System {
  const platform = process.platform === "linux" || process.platform === "darwin" ? socketPlatforms[process.platform] : undefined;
  if (platform === undefined) {
    throw new PoolerError("NOT_SUPPORTED", `pooler does not run on ${process.platform}`, { hint: "Linux and macOS are supported." });
  }
  // The node binary itself brings libc's symbols along, whichever libc it is.
  const koffi = native();
  const self = koffi.load(null);
  const fcntl = self.func("int fcntl(int, int, ...)");
  return {
    platform,
    socket: self.func("int socket(int, int, int)"),
    setOption: self.func("int setsockopt(int, int, int, const void *, uint32_t)"),
    bind: self.func("int bind(int, const void *, uint32_t)"),
    listen: self.func("int listen(int, int)"),
    getName: self.func("int getsockname(int, void *, void *)"),
    control: (fd, command, value) => Number(fcntl(fd, command, "int", value)),
    close: self.func("int close(int)"),
    errno: () => koffi.errno(),
    errnoName: (errno) => Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`,
  };
}

const stream = 1;
const setDescriptorFlags = 2;
const closeOnExec = 1;
const getStatusFlags = 3;
const setStatusFlags = 4;
const protocolIpv6 = 41;

function openOne(system: System, address: SocketAddress, listen: Pick<ListenConfig, "backlog">): { fd: number; port: number } {
  const { platform } = system;
  const bytes = encodeSocketAddress(address, platform);
  const fd = system.socket(familyNumber(address, platform), stream, 0);
  if (fd < 0) throw refusal("socket", system.errnoName(system.errno()), address);
  const check = (call: string, result: number): void => {
    if (result >= 0) return;
    const name = system.errnoName(system.errno());
    system.close(fd);
    throw refusal(call, name, address);
  };
  // No other program that is started by this process gets the descriptor: spawn() hands it to workers by name.
  check("fcntl", system.control(fd, setDescriptorFlags, closeOnExec));
  check("fcntl", system.control(fd, setStatusFlags, system.control(fd, getStatusFlags, 0) | platform.nonBlock));
  if (address.family !== "unix") check("setsockopt", setFlag(system, fd, platform.solSocket, platform.soReuseAddr, true));
  // "::" means every address of the machine, IPv4 too, as with Node's own servers.
  if (address.family === "ipv6") check("setsockopt", setFlag(system, fd, protocolIpv6, platform.ipv6Only, address.host !== "::"));
  check("bind", system.bind(fd, bytes, bytes.length));
  check("listen", system.listen(fd, listen.backlog));
  if (address.family === "unix") return { fd, port: 0 };
  const name = Buffer.alloc(128);
  const nameLength = Buffer.alloc(4);
  nameLength.set(new Uint8Array(Uint32Array.of(name.length).buffer));
  check("getsockname", system.getName(fd, name, nameLength));
  return { fd, port: decodePort(name) };
}

function setFlag(system: System, fd: number, level: number, option: number, on: boolean): number {
  const value = Buffer.from(Int32Array.of(on ? 1 : 0).buffer);
  return system.setOption(fd, level, option, value, value.length);
}

async function openUnix(system: System, listen: Pick<ListenConfig, "host" | "port" | "backlog">): Promise<Listeners> {
  const path = join(listen.host, `.s.PGSQL.${listen.port}`);
  await removeStaleSocket(path);
  const { fd } = openOne(system, { family: "unix", path }, listen);
  // Whoever may connect is decided by the login, as in PostgreSQL.
  chmodSync(path, 0o777);
  const fds = [fd];
  return {
    host: listen.host,
    port: listen.port,
    fds,
    warnings: [],
    close() {
      for (const open of fds.splice(0)) {
        system.close(open);
        if (existsSync(path)) unlinkSync(path);
      }
    },
  };
}

/** A socket's file outlives a process that was killed. Nobody answers there: remove it; else bind() says what is wrong. */
async function removeStaleSocket(path: string): Promise<void> {
  if (!existsSync(path) || !lstatSync(path).isSocket()) return;
  const alive = await new Promise<boolean>((done) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      done(true);
    });
    probe.once("error", (error) => {
      done(!("code" in error && error.code === "ECONNREFUSED"));
    });
  });
  if (!alive) unlinkSync(path);
}

async function resolve(host: string): Promise<SocketAddress[]> {
  if (isIPv4(host)) return [{ family: "ipv4", host, port: 0 }];
  if (isIPv6(host)) return [{ family: "ipv6", host, port: 0, scope: scopeOf(host) }];
  let found: readonly { readonly address: string; readonly family: number }[];
  try {
    found = await lookup(host, { all: true });
  } catch (cause) {
    throw new PoolerError("IO", `cannot listen on "${host}": the name is not known`, {
      hint: "Set listen.host to an address of this machine, e.g. 127.0.0.1, or 0.0.0.0 for all of them.",
      cause,
    });
  }
  return found.map(({ address, family }) =>
    family === 6
      ? { family: "ipv6", host: address, port: 0, scope: scopeOf(address) }
      : ({ family: "ipv4", host: address, port: 0 } satisfies SocketAddress),
  );
}

/** "fe80::1%eth0" → the number of eth0. */
function scopeOf(host: string): number {
  const zone = host.split("%")[1];
  if (zone === undefined) return 0;
  if (/^\d+$/.test(zone)) return Number(zone);
  for (const entry of networkInterfaces()[zone] ?? []) {
    if (entry.family === "IPv6" && entry.scopeid > 0) return entry.scopeid;
  }
  return 0;
}

function withPort(address: SocketAddress, port: number): SocketAddress {
  return address.family === "unix" ? address : { ...address, port };
}

function isMissingAddress(error: PoolerError): boolean {
  return error.cause === "EADDRNOTAVAIL" || error.cause === "EAFNOSUPPORT";
}

/** What went wrong, where, and what to do; `cause` is the name of the errno. */
function refusal(call: string, name: string, address: SocketAddress): PoolerError {
  const where =
    address.family === "unix" ? address.path : `${address.family === "ipv6" ? `[${address.host}]` : address.host}:${address.port}`;
  const [what, hint] = reasons[name] ?? [`${call} failed with ${name}`, "See the manual of your system for this error."];
  return new PoolerError("IO", `cannot listen on ${where}: ${what}`, { hint, cause: name });
}

const reasons: Readonly<Record<string, readonly [string, string]>> = {
  EADDRINUSE: [
    "the address is in use (EADDRINUSE)",
    "Stop the program that listens there, or set listen.port to another port (0 lets the system choose).",
  ],
  EACCES: [
    "permission denied (EACCES)",
    "Ports below 1024 need privileges, and a socket's directory must be writable: set listen.port or listen.host to something this user may use.",
  ],
  EPERM: [
    "operation not permitted (EPERM)",
    "A security policy of this system forbids it; choose another listen.port or ask the administrator.",
  ],
  EADDRNOTAVAIL: [
    "this machine has no such address (EADDRNOTAVAIL)",
    "Set listen.host to an address of this machine, or 0.0.0.0 for all of them.",
  ],
  EAFNOSUPPORT: ["this machine does not speak that protocol (EAFNOSUPPORT)", "Use an IPv4 address in listen.host."],
  ENOENT: ["the directory does not exist (ENOENT)", "Create it, or set listen.host to a directory that exists."],
  ENOTDIR: ["it is not a directory (ENOTDIR)", "Set listen.host to a directory."],
  EMFILE: ["too many open files (EMFILE)", "Raise the limit of open files (ulimit -n)."],
};
