import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, isIPv6, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { PoolerError } from "../base/errors.js";
import { type Listeners, openListeners } from "./listener.js";
import { encodeSocketAddress, ipv6Bytes, socketPlatforms } from "./socket-address.js";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

async function open(host: string, port = 0): Promise<Listeners> {
  const listeners = await openListeners({ host, port, backlog: 16 });
  cleanups.push(() => listeners.close());
  return listeners;
}

async function failure(host: string, port: number): Promise<PoolerError> {
  try {
    await open(host, port);
  } catch (error) {
    if (error instanceof PoolerError) return error;
    throw error;
  }
  throw new Error("it was expected to fail");
}

function dial(target: { host: string; port: number } | { path: string }): Promise<Socket> {
  return new Promise((done, fail) => {
    const socket = connect(target);
    cleanups.push(() => socket.destroy());
    socket.once("connect", () => done(socket));
    socket.once("error", fail);
  });
}

/** Serves one inherited descriptor as a worker would. */
function serve(fd: number): void {
  const server = createServer((socket) => socket.end("hello"));
  cleanups.push(() => server.close());
  server.listen({ fd });
}

test("port 0 gives a real port, and connections wait there until somebody accepts", async () => {
  const { fds, port } = await open("127.0.0.1");
  expect(port).toBeGreaterThan(0);
  expect(fds).toHaveLength(1);
  const socket = await dial({ host: "127.0.0.1", port });
  const greeting = new Promise<string>((done) => socket.once("data", (bytes) => done(bytes.toString())));
  serve(fds[0] ?? -1);
  expect(await greeting).toBe("hello");
});

test("a name stands for every address that it resolves to, on one port", async () => {
  const { fds, port } = await open("localhost");
  expect(fds.length).toBeGreaterThan(0);
  const socket = await dial({ host: "127.0.0.1", port });
  expect(socket.remotePort).toBe(port);
});

test("an IPv6 address is listened on, where the machine has one", async () => {
  const probe = createServer();
  const hasIpv6 = await new Promise<boolean>((done) => {
    probe.once("error", () => done(false));
    probe.listen(0, "::1", () => done(true));
  });
  probe.close();
  if (!hasIpv6) {
    expect((await failure("::1", 0)).message).toContain("[::1]:0");
    return;
  }
  const { port } = await open("::1");
  const socket = await dial({ host: "::1", port });
  expect(isIPv6(socket.remoteAddress ?? "")).toBe(true);
});

test("a directory gives a Unix-domain socket with PostgreSQL's file name, which is removed at the end", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pooler-socket-"));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  const listeners = await open(directory, 6432);
  const path = join(directory, ".s.PGSQL.6432");
  await dial({ path });
  expect((await failure(directory, 6432)).message).toContain("in use");
  listeners.close();
  expect(existsSync(path)).toBe(false);
});

test("the file of a socket that nobody listens on any more is replaced", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pooler-socket-"));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  const path = join(directory, ".s.PGSQL.6432");
  const first = await openListeners({ host: directory, port: 6432, backlog: 1 });
  // A killed process closes its descriptors and removes nothing.
  const { closeSync } = await import("node:fs");
  for (const fd of first.fds) closeSync(fd);
  expect(existsSync(path)).toBe(true);
  await open(directory, 6432);
  await dial({ path });
});

test("an address in use is refused with the address and what to do", async () => {
  const { port } = await open("127.0.0.1");
  const error = await failure("127.0.0.1", port);
  expect(error.code).toBe("IO");
  expect(error.message).toBe(`cannot listen on 127.0.0.1:${port}: the address is in use (EADDRINUSE)`);
  expect(error.hint).toContain("listen.port");
});

test.each([
  ["203.0.113.77", "no such address"],
  ["no-such-host.invalid", "not known"],
  ["/no/such/directory", "does not exist"],
  [`/${"long/".repeat(30)}`, "too long"],
])("%s is refused: %s", async (host, reason) => {
  const error = await failure(host, 0);
  expect(error.message).toContain(reason);
  expect(error.hint).toBeDefined();
});

test("a plain file where the socket should be is left alone", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pooler-socket-"));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  const path = join(directory, ".s.PGSQL.1");
  writeFileSync(path, "mine");
  expect((await failure(directory, 1)).message).toContain("in use");
  expect(existsSync(path)).toBe(true);
});

test("addresses are laid out as Linux and macOS want them", () => {
  const ipv4 = { family: "ipv4", host: "127.0.0.1", port: 0x1920 } as const;
  expect(encodeSocketAddress(ipv4, socketPlatforms.linux).toString("hex")).toBe("020019207f0000010000000000000000");
  expect(encodeSocketAddress(ipv4, socketPlatforms.darwin).toString("hex")).toBe("100219207f0000010000000000000000");
  const ipv6 = { family: "ipv6", host: "::1", port: 1, scope: 3 } as const;
  expect(encodeSocketAddress(ipv6, socketPlatforms.linux).toString("hex")).toBe(`0a00000100000000${"00".repeat(15)}0103000000`);
  expect(encodeSocketAddress(ipv6, socketPlatforms.darwin).toString("hex")).toBe(`1c1e000100000000${"00".repeat(15)}0103000000`);
  expect(encodeSocketAddress({ family: "unix", path: "/a" }, socketPlatforms.darwin).toString("hex")).toBe("05012f6100");
});

test.each([
  ["::", "00".repeat(16)],
  ["fe80::1%eth0", `fe80${"00".repeat(13)}01`],
  ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
  ["::ffff:127.0.0.1", `${"00".repeat(10)}ffff7f000001`],
  ["2001:db8::", `20010db8${"00".repeat(12)}`],
])("the IPv6 address %s is %s", (host, hex) => {
  expect(Buffer.from(ipv6Bytes(host)).toString("hex")).toBe(hex);
});
