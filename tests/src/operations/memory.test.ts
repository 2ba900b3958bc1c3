// What clients and servers do not take must not pile up in the pooler: its memory is looked at from outside, while somebody is slow.
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, messages } from "../harness/wire-client.js";
import { type FakeServer, fake, message, startFakeServer } from "./support/fake-server.js";
import { trustingConfig } from "./support/trusting-config.js";
import { until } from "./support/until.js";

const megabyte = 1 << 20;
const mostGrowthBytes = 60 * megabyte;

/** Resident memory of the only worker, by its metrics. */
async function memory(pooler: Pooler): Promise<number> {
  const text = await (await fetch(pooler.metricsUrl ?? "")).text();
  const value = /^pooler_process_resident_memory_bytes\{process="worker-1"\} (\S+)$/m.exec(text)?.[1];
  expect(value).toBeDefined();
  return Number(value);
}

/** The most that the worker has, above `base`, while `work` goes on. */
async function growth(pooler: Pooler, base: number, work: Promise<unknown>): Promise<number> {
  let most = 0;
  let isOver = false;
  const watched = work.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    most = Math.max(most, (await memory(pooler)) - base);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  await watched;
  return most;
}

/** A connection that is logged in and of which only the number of bytes matters. */
async function login(pooler: Pooler, database = "app"): Promise<{ socket: Socket; received: () => number; tail: () => Buffer }> {
  const socket = connect({ port: pooler.port, host: "127.0.0.1" });
  let count = 0;
  let last: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    count += chunk.length;
    last = Buffer.concat([last, chunk]).subarray(-64);
  });
  socket.on("error", () => {});
  socket.write(messages.startup({ user: "app", database }));
  await until("the login", () => last.includes(fake.ready()));
  count = 0;
  return { socket, received: () => count, tail: () => last };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe("a worker's memory", () => {
  let pooler: Pooler;
  let deaf: FakeServer;
  let base: number;

  beforeAll(async () => {
    // Takes startup and settings, then says "go on" to COPY and reads nothing any more.
    deaf = await startFakeServer({
      onData(connection, data) {
        const text = data.toString("latin1");
        if (text.includes("set_config")) connection.write(fake.complete("SELECT 1"), fake.ready());
        else if (text.includes("COPY")) {
          connection.socket.pause();
          connection.write(message("G", Buffer.from([0, 0, 0])));
        } else connection.socket.pause();
      },
    });
    pooler = await startPooler({
      config: trustingConfig(sharedShards()[0]?.primary ?? "", {
        metrics: { port: 0 },
        users: { app: { console: "admin" } },
        databases: { deaf: { url: deaf.url } },
      }),
    });
    const { socket } = await login(pooler);
    socket.write(messages.query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)"));
    await pause(300);
    socket.destroy();
    base = await memory(pooler);
  });

  afterAll(async () => {
    expect(await pooler.stop()).toBe(0);
    await deaf.close();
  });

  test("does not grow while a client reads a result of 300 MB slowly", async () => {
    const client = await login(pooler);
    const reading = (async () => {
      client.socket.write(messages.query("SELECT repeat('x', 1000) FROM generate_series(1, 300000)"));
      while (!client.tail().includes(fake.complete("SELECT 300000"))) {
        client.socket.pause();
        await pause(60);
        client.socket.resume();
        await pause(30);
      }
    })();
    expect(await growth(pooler, base, reading)).toBeLessThan(mostGrowthBytes);
    expect(client.received()).toBeGreaterThan(300_000 * 1000);
    client.socket.destroy();
  });

  test("does not grow while a client does not read at all, and the result waits for it", async () => {
    const client = await login(pooler);
    client.socket.pause();
    client.socket.write(messages.query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"));
    expect(await growth(pooler, base, pause(700))).toBeLessThan(mostGrowthBytes);
    client.socket.resume();
    await until("the whole result", () => client.tail().includes(fake.complete("SELECT 100000")));
    client.socket.destroy();
  });

  test.each([
    ["simple", () => messages.query("SELECT repeat('x', 10000)")],
    [
      "extended",
      () => Buffer.concat([messages.parse({ text: "SELECT repeat('x', 10000)" }), messages.bind(), messages.execute(), messages.sync()]),
    ],
    ["answered without a server", () => messages.query("")],
  ])("does not grow while a client sends %s queries and reads no answer", async (_how, question) => {
    const client = await login(pooler);
    client.socket.pause();
    const questions = Buffer.concat(Array.from({ length: 20_000 }, question));
    client.socket.write(questions);
    expect(await growth(pooler, base, pause(1_000))).toBeLessThan(mostGrowthBytes + questions.length);
    client.socket.destroy();
  });

  test("does not grow while a client of the console sends commands and reads no answer", async () => {
    const client = await login(pooler, "pooler");
    // What answering takes is no growth: the heap has its size before it begins.
    client.socket.write(Buffer.concat(Array.from({ length: 300 }, () => messages.query("SHOW CONFIG"))));
    client.socket.write(messages.query("SHOW VERSION"));
    await until("the answers", () => client.tail().includes("Pooler "));
    const warm = await memory(pooler);
    client.socket.pause();
    client.socket.write(Buffer.concat(Array.from({ length: 300_000 }, () => messages.query("SHOW CONFIG"))));
    expect(await growth(pooler, warm, pause(1_000))).toBeLessThan(mostGrowthBytes / 3);
    client.socket.destroy();
  });

  test("does not grow while a server does not take COPY data", async () => {
    const client = await login(pooler, "deaf");
    client.socket.write(messages.query("COPY t FROM STDIN"));
    await until("the server to want data", () => client.received() > 0);
    const piece = message("d", Buffer.alloc(64 * 1024, "x"));
    let sentBytes = 0;
    const feed = (): void => {
      while (sentBytes < 300 * megabyte) {
        sentBytes += piece.length;
        if (client.socket.write(piece)) continue;
        client.socket.once("drain", feed);
        return;
      }
    };
    feed();
    expect(await growth(pooler, base, pause(700))).toBeLessThan(mostGrowthBytes);
    // It is the client that waits.
    expect(sentBytes).toBeLessThan(30 * megabyte);
    // When that server goes away, the client is heard again, and told.
    deaf.connections.at(-1)?.socket.destroy();
    await until("the error", () => client.tail().includes("server closed the connection unexpectedly"));
    client.socket.destroy();
  });

  test("does not grow while a client sends a batch without end to a server that does not take it", async () => {
    const client = await login(pooler, "deaf");
    const part = Buffer.concat([messages.parse({ text: `SELECT '${"x".repeat(8000)}'` }), messages.bind(), messages.execute()]);
    let sentBytes = 0;
    const feed = (): void => {
      while (sentBytes < 300 * megabyte) {
        sentBytes += part.length;
        if (client.socket.write(part)) continue;
        client.socket.once("drain", feed);
        return;
      }
    };
    feed();
    expect(await growth(pooler, base, pause(1_000))).toBeLessThan(mostGrowthBytes);
    expect(sentBytes).toBeLessThan(30 * megabyte);
    client.socket.destroy();
  });

  test("a slow client does not hold up the others", async () => {
    const slow = await login(pooler);
    slow.socket.pause();
    slow.socket.write(messages.query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"));
    const other = await connectWire({ port: pooler.port });
    await other.login({ user: "app", database: "app" });
    const startedAt = performance.now();
    for (let i = 0; i < 100; i++) await other.query("SELECT 1");
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    other.end();
    slow.socket.destroy();
  });

  test("two thousand idle clients cost little, and each is served", async () => {
    const quiet = await startPooler({
      config: trustingConfig(sharedShards()[0]?.primary ?? "", { metrics: { port: 0 }, limits: { max_clients: 2_100 } }),
    });
    const before = await memory(quiet);
    const clients: Awaited<ReturnType<typeof login>>[] = [];
    for (let i = 0; i < 20; i++) clients.push(...(await Promise.all(Array.from({ length: 100 }, () => login(quiet)))));
    expect(clients).toHaveLength(2_000);
    expect((await memory(quiet)) - before).toBeLessThan(2_000 * 40 * 1024);
    for (const client of clients) client.socket.write(messages.query("SELECT 'served'"));
    await until("all answers", () => clients.every(({ tail }) => tail().includes("served")));
    for (const { socket } of clients) socket.destroy();
    expect(await quiet.stop()).toBe(0);
  });
});
