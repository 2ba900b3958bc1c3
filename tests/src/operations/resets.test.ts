// Connections that are reset, by clients and by servers, in whatever state they are: it costs that connection and what it was about,
// and nobody else notices.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorIn, typesOf } from "../harness/backend-message.js";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";
import { createAuthority } from "./support/certificates.js";
import { openConsole } from "./support/console.js";
import { type FakeConnection, type FakeServer, fake, message, startFakeServer } from "./support/fake-server.js";
import { trustingConfig } from "./support/trusting-config.js";
import { until } from "./support/until.js";

const directory = mkdtempSync(join(tmpdir(), "pooler-resets-"));
const { certificate, privateKey } = createAuthority("Test Authority").issue("pooler", ["localhost"]);
writeFileSync(join(directory, "cert.pem"), certificate);
writeFileSync(join(directory, "key.pem"), privateKey);

const copyInResponse = message("G", Buffer.from([0, 0, 0]));
const copyOutResponse = message("H", Buffer.from([0, 0, 0]));

/** What a played server does when it is asked for a state: it ends in a reset. */
function play(connection: FakeConnection, data: Buffer): void {
  const text = data.toString("latin1");
  const reset = (...before: readonly Buffer[]): void => {
    connection.socket.write(Buffer.concat(before), () => connection.socket.resetAndDestroy());
  };
  if (text.includes("set_config")) connection.write(fake.complete("SELECT 1"), fake.ready());
  else if (text.includes("reset at once")) reset();
  else if (text.includes("reset in a row")) reset(fake.rowDescription("x"), fake.row(Buffer.alloc(2_000)).subarray(0, 1_000));
  else if (text.includes("reset behind a row")) reset(fake.rowDescription("x"), fake.row(Buffer.alloc(2_000)));
  else if (text.includes("reset in COPY in")) reset(copyInResponse);
  else if (text.includes("reset in COPY out")) reset(copyOutResponse, message("d", Buffer.alloc(2_000)));
  else if (text.includes("reset when idle")) reset(fake.complete("SELECT 0"), fake.ready());
  else if (text.includes("BEGIN")) connection.write(fake.complete("BEGIN"), fake.ready("T"));
  else connection.write(fake.complete("SELECT 0"), fake.ready());
}

let pooler: Pooler;
const servers: FakeServer[] = [];

beforeAll(async () => {
  const resets = (connection: FakeConnection): void => void connection.socket.resetAndDestroy();
  servers.push(
    await startFakeServer({ onData: play }),
    await startFakeServer({ onStartup: resets }),
    await startFakeServer({
      onConnect(connection) {
        resets(connection);
        return false;
      },
    }),
    await startFakeServer({ onStartup: (connection) => connection.socket.write(fake.greeting.subarray(0, 20), () => resets(connection)) }),
  );
  const [played, startup, first, greeting] = servers.map(({ url }) => url);
  pooler = await startPooler({
    config: trustingConfig(sharedShards()[0]?.primary ?? "", {
      listen: { tls: { mode: "prefer", cert: join(directory, "cert.pem"), key: join(directory, "key.pem") } },
      timeouts: { host_retry: "50ms" },
      databases: {
        app: { pool_size: 1 },
        played: { url: played, pool_size: 1 },
        startup: { url: startup },
        first: { url: first },
        greeting: { url: greeting },
      },
    }),
  });
});

afterAll(async () => {
  expect(pooler.log.filter(({ msg, event }) => event === "worker gone" || msg?.includes("a bug"))).toEqual([]);
  expect(await pooler.stop()).toBe(0);
  for (const server of servers) await server.close();
  rmSync(directory, { recursive: true });
});

async function login(database = "app"): Promise<WireClient> {
  const client = await connectWire({ port: pooler.port });
  await client.login({ user: "app", database });
  return client;
}

describe.each(["plain", "TLS"])("a client resets its connection (%s)", (kind) => {
  /** What is written goes through `secure`, what is reset is `socket`. */
  interface Client {
    readonly socket: Socket;
    readonly stream: Socket | TLSSocket;
    untilText(text: string): Promise<void>;
  }

  async function open(): Promise<Client> {
    const socket = connect({ port: pooler.port, host: "127.0.0.1", noDelay: true });
    socket.on("error", () => {});
    await new Promise((done) => socket.once("connect", done));
    let stream: Socket | TLSSocket = socket;
    if (kind === "TLS") {
      socket.write(messages.requestSsl());
      await new Promise((done) => socket.once("data", done));
      const secure = connectTls({ socket, rejectUnauthorized: false });
      secure.on("error", () => {});
      await new Promise((done) => secure.once("secureConnect", done));
      stream = secure;
    }
    let text = "";
    stream.on("data", (chunk: Buffer) => {
      text = (text + chunk.toString("latin1")).slice(-5_000);
    });
    return { socket, stream, untilText: async (part) => void (await until(`"${part}"`, () => text.includes(part))) };
  }

  const startup = messages.startup({ user: "app", database: "app" });

  async function loggedIn(): Promise<Client> {
    const client = await open();
    client.stream.write(startup);
    await client.untilText("Z\0\0\0\x05I");
    return client;
  }

  async function asking(sql: string, answer: string): Promise<Client> {
    const client = await loggedIn();
    client.stream.write(messages.query(sql));
    await client.untilText(answer);
    return client;
  }

  const states: readonly (readonly [string, () => Promise<Client>])[] = [
    ["before it says anything", open],
    [
      "in the middle of its startup packet",
      async () => {
        const client = await open();
        client.stream.write(startup.subarray(0, 12));
        return client;
      },
    ],
    [
      "in the TLS handshake",
      async () => {
        const socket = connect({ port: pooler.port, host: "127.0.0.1" });
        socket.on("error", () => {});
        socket.write(messages.requestSsl());
        await new Promise((done) => socket.once("data", done));
        socket.write(Buffer.from("160301020001000001fc0303", "hex"));
        return { socket, stream: socket, untilText: () => Promise.resolve() };
      },
    ],
    ["when idle", loggedIn],
    [
      "while its statement runs",
      async () => {
        const client = await loggedIn();
        client.stream.write(messages.query("SELECT pg_sleep(60)"));
        const console = await openConsole(pooler);
        await until("the statement to run", async () => (await console.run("SHOW CLIENTS")).some(({ state }) => state === "active"));
        console.end();
        return client;
      },
    ],
    ["in an open transaction", () => asking("BEGIN; CREATE TABLE resets_in_transaction (n int)", "Z\0\0\0\x05T")],
    ["in COPY in", () => asking("CREATE TEMP TABLE t (x text) ON COMMIT DROP; COPY t FROM STDIN", "G\0\0\0")],
    ["in COPY out", () => asking("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 300000)) TO STDOUT", "xxxxx")],
    ["in the middle of a long answer", () => asking("SELECT repeat('y', 1000) FROM generate_series(1, 300000)", "yyyyy")],
    [
      "in the middle of a message",
      async () => {
        const client = await loggedIn();
        client.stream.write(messages.query(`SELECT '${"z".repeat(5_000)}'`).subarray(0, 3_000));
        return client;
      },
    ],
    [
      "while it waits for a server",
      async () => {
        const holder = await asking("BEGIN; SELECT 'held'", "held");
        const client = await loggedIn();
        client.stream.write(messages.query("SELECT 'waits'"));
        const console = await openConsole(pooler);
        await until("the client to wait", async () =>
          (await console.run("SHOW POOLS")).some(({ database, cl_waiting }) => database === "app" && cl_waiting === "1"),
        );
        console.end();
        client.socket.once("close", () => holder.socket.resetAndDestroy());
        return client;
      },
    ],
    [
      "in the middle of a cancel request",
      async () => {
        const client = await open();
        client.stream.write(messages.cancel(1, 2).subarray(0, 10));
        return client;
      },
    ],
    [
      "right behind a cancel request",
      async () => {
        const client = await open();
        client.stream.write(messages.cancel(1, 2));
        return client;
      },
    ],
  ];

  test.each(states)("%s", async (_, bring) => {
    const { socket } = await bring();
    socket.resetAndDestroy();
    // The only server is free again, nothing of the client is left in it, and the client is forgotten.
    const next = await login();
    expect(typesOf(await next.query("SELECT to_regclass('resets_in_transaction')::text"))).toBe("TDCZ");
    expect(typesOf(await next.query("CREATE TABLE resets_in_transaction (n int); DROP TABLE resets_in_transaction"))).toBe("CCZ");
    next.end();
    await next.closed;
    const console = await openConsole(pooler);
    await until("the clients to be forgotten", async () => (await console.run("SHOW CLIENTS")).length === 0);
    console.end();
  });
});

describe("a server resets its connection", () => {
  test.each(["first", "startup", "greeting"])("before it is ready (%s): the statement fails, the client stays", async (database) => {
    const client = await connectWire({ port: pooler.port });
    client.send(messages.startup({ user: "app", database }));
    expect(errorIn([...(await client.until("E"))])?.["C"]).toMatch(/^08/);
    client.end();
    const other = await login();
    expect(typesOf(await other.query("SELECT 1"))).toBe("TDCZ");
    other.end();
  });

  test.each(["reset at once", "reset behind a row"])("%s: the statement fails, the client goes on with another connection", async (how) => {
    const client = await login("played");
    const answer = await client.query(how);
    expect(errorIn(answer)?.["C"]).toBe("08006");
    expect(typesOf(await client.query("well"))).toBe("CZ");
    client.end();
  });

  test("in the middle of a row: the client's connection is closed, and the next one is served", async () => {
    const client = await login("played");
    client.send(messages.query("reset in a row"));
    await client.closed;
    const next = await login("played");
    expect(typesOf(await next.query("well"))).toBe("CZ");
    next.end();
  });

  test.each(["reset in COPY in", "reset in COPY out"])("%s: the COPY fails, the client goes on", async (how) => {
    const client = await login("played");
    client.send(messages.query(how));
    if (how.endsWith(" in")) client.send(...Array.from({ length: 200 }, () => message("d", Buffer.alloc(10_000))), message("c"));
    expect(errorIn(await client.until("Z"))?.["C"]).toBe("08006");
    expect(typesOf(await client.query("well"))).toBe("CZ");
    client.end();
  });

  test("in an open transaction: the transaction is lost, and the client told so", async () => {
    const client = await login("played");
    expect(String((await client.query("BEGIN")).at(-1))).toBe("Z(T)");
    expect(errorIn(await client.query("reset at once"))?.["C"]).toBe("08006");
    client.end();
    const next = await login("played");
    expect(typesOf(await next.query("well"))).toBe("CZ");
    next.end();
  });

  test("when idle: no client notices", async () => {
    const client = await login("played");
    for (let i = 0; i < 10; i++) {
      expect(typesOf(await client.query("reset when idle"))).toBe("CZ");
      await until("the reset", () => servers[0]?.connections.every(({ socket }) => socket.destroyed));
      expect(typesOf(await client.query("well"))).toBe("CZ");
    }
    client.end();
  });
});
