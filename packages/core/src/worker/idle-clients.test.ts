// What a client costs that has logged in and does nothing, and what its login writes: thousands of them are the rule.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { createSecretCache } from "../auth/secret-cache.js";
import { createFakeClock } from "../base/clock.js";
import { createSilentLogger } from "../base/logger.js";
import { createConfig } from "../config/load-config.js";
import { Database } from "../pool/database.js";
import type { HostPool } from "../pool/host-pool.js";
import { createLocalSlots } from "../pool/slot-source.js";
import { Frontend } from "../protocol/codes.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { createSessionScratch, type SessionContext } from "../session/context.js";
import { MessageMemory } from "../session/message-memory.js";
import type { Wire, WireEngine, WireReader } from "../wire/wire.js";
import { openClientCounts } from "./client-counts.js";
import { Clients } from "./clients.js";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const engine: WireEngine = {
  name: "streams",
  listen: () => ({ close() {} }),
  dial() {},
  defer() {},
  keepTime() {},
  lookElsewhere() {},
};

class TestWire implements Wire {
  reader: WireReader = { onBytes() {}, onDrain() {}, onClosed() {} };
  readonly queuedBytes = 0;
  readonly congested = false;
  readonly remoteAddress = "127.0.0.1";
  readonly remotePort = 1;
  readonly tls = false;
  readonly peerName = null;
  writes = 0;
  /** Type of the last message that was written, when it is short. */
  last = 0;

  write(buffer: Buffer, start: number, end: number): boolean {
    this.writes++;
    this.last = buffer[Math.max(start, end - 6)] as number;
    return true;
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
  startTls(): void {}
}

function createRig(): { readonly clients: Clients; readonly context: SessionContext; connect(applicationName?: string): TestWire } {
  const config = createConfig({
    listen: { auth: "trust" },
    limits: { max_clients: 100_000 },
    databases: { app: { url: "postgres://127.0.0.1:1/app" } },
    users: { app: {} },
  });
  const clock = createFakeClock();
  const log = createSilentLogger();
  const secrets = createSecretCache();
  const users = new Map(config.users.map((user) => [user.name, user]));
  const passThroughKeys = new Map();
  const { limits, timeouts } = config;
  const databases = config.databases.map(
    (each) =>
      new Database(
        {
          engine,
          clock,
          log,
          slots: createLocalSlots(),
          secrets,
          passThroughKeys,
          user: (name) => users.get(name),
          limits,
          timeouts,
          workers: 1,
          hooks: null,
          nextServerId: () => 1,
          onHostChanged: () => {},
          totals: { serversOpened: 0, serversLost: 0 },
        },
        each,
      ),
  );
  const [database] = databases;
  const pool = database?.poolFor(config.users[0] as (typeof config.users)[0], { shard: 0, role: "primary" }) as HostPool;
  pool.greeting = new Map(Object.entries({ client_encoding: "UTF8", server_version: "18.0", standard_conforming_strings: "on" }));
  const context: SessionContext = {
    config,
    engine,
    clock,
    log,
    refusal: null,
    router: null,
    statements: null,
    hooks: null,
    clientHooks: null,
    ...createSessionScratch(config, new MessageMemory({ limit: () => config.limits.maxBufferedBytes, nowMs: clock.nowMs })),
    passThroughKeys,
    totals: { clientsAccepted: 0, clientsRefused: 0, loginFailures: 0, cancelsReceived: 0, cancelsSent: 0 },
    database: () => database,
    user: (name) => users.get(name),
  };
  const clients = new Clients({
    context,
    worker: 1,
    counts: openClientCounts(null, 1),
    version: "1",
    secrets,
    runConsole: () => Promise.reject(new Error("no console here")),
    onForeignCancel: () => null,
  });
  return {
    clients,
    context,
    connect(applicationName = "test") {
      const wire = new TestWire();
      clients.accept(wire);
      const packet = new MessageWriter(256);
      packet.begin(0).int32(196_608);
      for (const part of ["user", "app", "database", "app", "application_name", applicationName]) packet.cstring(part);
      packet.byte(0).end();
      wire.reader.onBytes(packet.buffer, 0, packet.length);
      return wire;
    },
  };
}

const emptyQuery = new MessageWriter(64).begin(Frontend.QUERY).cstring("").end().toBuffer();
const readyForQuery = "Z".charCodeAt(0);

test("a login that needs no password is answered with one write", () => {
  const wire = createRig().connect();
  expect(wire).toMatchObject({ writes: 1, last: readyForQuery });
});

test("a client that has logged in, and sent a query, holds little more than its session", () => {
  const { connect, clients } = createRig();
  const wires: TestWire[] = [];
  const speak = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const wire = connect();
      wire.reader.onBytes(emptyQuery, 0, emptyQuery.length);
      wires.push(wire);
    }
  };
  const heapBytes = (): number => {
    collect();
    collect();
    return process.memoryUsage().heapUsed;
  };
  speak(1_000); // everything is compiled, and what is shared is there
  const before = heapBytes();
  speak(4_000);
  const each = (heapBytes() - before) / 4_000;
  expect(wires.at(-1)).toMatchObject({ writes: 2, last: readyForQuery });
  expect(clients.sessions.size).toBe(5_000);
  // 520 to 550 at the time of writing, a hundred of them the test's own.
  expect(each).toBeLessThan(650);
});

test("a login that takes too long ends, and those behind it go on", () => {
  const { clients, context } = createRig();
  const wires = [new TestWire(), new TestWire()];
  for (const wire of wires) {
    clients.accept(wire);
    (context.clock as ReturnType<typeof createFakeClock>).advance(context.config.timeouts.clientLoginMs / 2);
  }
  clients.tick(context.clock.nowMs());
  expect(clients.logins.size).toBe(2);
  clients.tick(context.clock.nowMs() + 1);
  expect(clients.logins.size).toBe(1);
  expect(wires.map(({ writes }) => writes)).toEqual([1, 0]);
});
