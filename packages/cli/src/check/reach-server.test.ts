import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import type { HostConfig } from "@pooler/core";
import { afterEach, expect, test } from "vitest";
import { reachServer } from "./reach-server.js";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** Answers the first bytes of each client with `answer`; with null it says nothing. */
async function listen(answer: string | null, path?: string): Promise<HostConfig> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("data", () => (answer === "" ? socket.destroy() : answer === null ? undefined : socket.write(answer)));
  });
  await new Promise<void>((resolve) => (path === undefined ? server.listen(0, "127.0.0.1", resolve) : server.listen(path, resolve)));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return host(path === undefined ? (server.address() as AddressInfo).port : 5432);
}

const host = (port: number, rest: Partial<HostConfig> = {}): HostConfig => ({
  host: "127.0.0.1",
  port,
  database: "app",
  user: null,
  password: null,
  tls: { mode: "disable", ca: null },
  ...rest,
});

test.each(["N", "S"])("a server that answers the question for TLS with %s is PostgreSQL", async (answer) => {
  expect(await reachServer(await listen(answer), 5_000)).toBe(null);
});

test("a Unix-domain socket is reached when somebody listens there", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pooler-cli-"));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  expect(await reachServer(host(5432, { host: directory }), 5_000)).toBe("there is no such socket");
  await listen("N", join(directory, ".s.PGSQL.5432"));
  expect(await reachServer(host(5432, { host: directory }), 5_000)).toBe(null);
});

test("something else is not taken for PostgreSQL", async () => {
  expect(await reachServer(await listen("HTTP/1.1 400 Bad Request\r\n\r\n"), 5_000)).toBe(
    "something answers there, but it is not PostgreSQL",
  );
  expect(await reachServer(await listen(""), 5_000)).toBe("it closed the connection at once");
});

test("a server without TLS does not do where TLS is required", async () => {
  const plain = await listen("N");
  expect(await reachServer({ ...plain, tls: { mode: "require", ca: null } }, 5_000)).toBe(
    "sslmode=require, but the server has TLS switched off",
  );
});

test("with TLS, the certificate counts when it is to be verified", async () => {
  const pem = (name: string): string => readFileSync(new URL(`../../../core/src/config/fixtures/${name}`, import.meta.url), "utf8");
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      socket.write("S");
      new TLSSocket(socket, { isServer: true, cert: pem("server.cert.pem"), key: pem("server.key.pem") }).on("error", () => {});
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => server.close());
  const { port } = server.address() as AddressInfo;
  expect(await reachServer(host(port, { tls: { mode: "require", ca: null } }), 5_000)).toBe(null);
  expect(await reachServer(host(port, { tls: { mode: "verify-full", ca: pem("server.cert.pem") } }), 5_000)).toBe(null);
  expect(await reachServer(host(port, { tls: { mode: "verify-full", ca: null } }), 5_000)).toMatch(/self-signed certificate/);
});

test("a handshake that fails says why", async () => {
  const broken = await listen("S");
  expect(await reachServer({ ...broken, tls: { mode: "verify-full", ca: null } }, 300)).toMatch(/within 300 ms|disconnected|socket/);
});

test("nobody there, and nobody who answers", async () => {
  const gone = await listen("N");
  for (const cleanup of cleanups.splice(0)) cleanup();
  expect(await reachServer(gone, 5_000)).toBe("nothing listens there (connection refused)");
  expect(await reachServer(await listen(null), 200)).toBe("it did not answer within 200 ms");
});
