// What a query costs in JavaScript between two wires, without sockets: `pnpm build && node bench/query.mjs [simple|extended|prepared] [clients] [queries of a round]`.
// Sessions, pool and servers are the real ones; the wires are memory, and a server answers what pgbench -S would get.
import { createSecretCache } from "../dist/auth/secret-cache.js";
import { createClock } from "../dist/base/clock.js";
import { createSilentLogger } from "../dist/base/logger.js";
import { createConfig } from "../dist/config/load-config.js";
import { Database } from "../dist/pool/database.js";
import { createLocalSlots } from "../dist/pool/slot-source.js";
import { createSessionScratch } from "../dist/session/context.js";
import { MessageMemory } from "../dist/session/message-memory.js";
import { Session } from "../dist/session/session.js";
import { noSettings } from "../dist/session/settings.js";

const protocols = process.argv[2] ? [process.argv[2]] : ["simple", "extended", "prepared"];
const clients = Number(process.argv[3] ?? 16);
const rounds = 7;
const queriesPerRound = Number(process.argv[4] ?? 200_000);

const message = (type, ...parts) => {
  const body = Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(`${part}\0`) : Buffer.from(part))));
  const head = Buffer.alloc(5);
  head.write(type, 0, "latin1");
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
};
const columns = message("T", [0, 1], "abalance", [0, 0, 64, 0, 0, 3, 0, 0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 0]);
const answers = {
  Q: [columns, message("D", [0, 1, 0, 0, 0, 1, 48]), message("C", "SELECT 1"), message("Z", [0x49])],
  P: [message("1")],
  B: [message("2")],
  D: [columns],
  E: [message("D", [0, 1, 0, 0, 0, 1, 48]), message("C", "SELECT 1")],
  S: [message("Z", [0x49])],
  C: [message("3")],
};
const chunk = Buffer.alloc(65_536);

/** A connection to a server that answers when it is asked to. */
class ServerWire {
  reader = null;
  queuedBytes = 0;
  congested = false;
  answer = null;
  static #known = new Map();
  write(buffer, start, end) {
    let key = 0;
    for (let at = start; at < end; at += 1 + buffer.readInt32BE(at + 1)) key = (key * 31 + buffer[at]) | 0;
    this.answer = ServerWire.#known.get(key) ?? this.#compose(key, buffer, start, end);
    return true;
  }
  #compose(key, buffer, start, end) {
    const parts = [];
    for (let at = start; at < end; at += 1 + buffer.readInt32BE(at + 1)) parts.push(...answers[String.fromCharCode(buffer[at])]);
    const whole = Buffer.concat(parts);
    ServerWire.#known.set(key, whole);
    return whole;
  }
  speak() {
    const { answer } = this;
    if (answer === null) return;
    this.answer = null;
    answer.copy(chunk, 0);
    this.reader.onBytes(chunk, 0, answer.length);
  }
  pause() {}
  resume() {}
  end() {}
  destroy() {}
}

class ClientWire {
  reader = null;
  queuedBytes = 0;
  congested = false;
  remoteAddress = "127.0.0.1";
  remotePort = 1;
  tls = false;
  peerName = null;
  answered = 0;
  bytes = 0;
  write(buffer, start, end) {
    this.bytes += end - start;
    if (buffer[end - 6] === 0x5a) this.answered++;
    return true;
  }
  say(bytes) {
    bytes.copy(chunk, 0);
    this.reader.onBytes(chunk, 0, bytes.length);
  }
  pause() {}
  resume() {}
  end() {}
  destroy() {}
}

const serverWires = [];
const engine = {
  name: "memory",
  keepTime() {},
  defer: (what) => queueMicrotask(() => what.onDeferred()),
  dial(_target, reader, onDialed) {
    const wire = new ServerWire();
    wire.reader = reader;
    serverWires.push(wire);
    queueMicrotask(() => {
      // The startup packet has no type byte.
      const { write } = ServerWire.prototype;
      wire.write = () => true;
      onDialed(null, wire);
      wire.write = write;
      const greeting = Buffer.concat([
        message("R", [0, 0, 0, 0]),
        message("S", "server_version", "18.0"),
        message("K", [0, 0, 0, 1, 0, 0, 0, 2]),
        message("Z", [0x49]),
      ]);
      greeting.copy(chunk, 0);
      wire.reader.onBytes(chunk, 0, greeting.length);
    });
  },
};

const config = createConfig({
  listen: { host: "127.0.0.1", port: 6432, auth: "trust" },
  databases: { app: { url: "postgres://app@127.0.0.1/app", pool_size: 10 } },
  users: { app: {} },
});
const clock = createClock();
const log = createSilentLogger();
let lastServer = 0;
const pools = {
  hooks: null,
  refusal: null,
  engine,
  clock,
  log,
  slots: createLocalSlots(),
  secrets: createSecretCache(),
  passThroughKeys: new Map(),
  user: () => config.users[0],
  limits: config.limits,
  timeouts: config.timeouts,
  workers: 1,
  nextServerId: () => ++lastServer,
  onHostChanged() {},
  totals: { serversOpened: 0, serversLost: 0 },
};
const database = new Database(pools, config.databases[0]);
const context = {
  config,
  engine,
  clock,
  log,
  refusal: null,
  router: null,
  statements: null,
  hooks: null,
  clientHooks: null,
  ...createSessionScratch(config, new MessageMemory({ limit: () => config.limits.maxBufferedBytes, nowMs: () => clock.nowMs() })),
  passThroughKeys: new Map(),
  totals: { clientsAccepted: 0, clientsRefused: 0, loginFailures: 0, cancelsReceived: 0, cancelsSent: 0 },
  database: () => database,
  user: () => config.users[0],
};

const sync = message("S");
const select = "SELECT abalance FROM pgbench_accounts WHERE aid = ";
const bind = (name) => message("B", "", name, [0, 0, 0, 1, 0, 0, 0, 6], Buffer.from("123456"), [0, 1, 0, 0]);
const queries = {
  simple: Array.from({ length: 64 }, (_, i) => message("Q", `${select}${123_456 + i};`)),
  extended: [Buffer.concat([message("P", "", `${select}$1;`, [0, 0]), bind(""), message("D", "P"), message("E", "", [0, 0, 0, 0]), sync])],
  prepared: [Buffer.concat([bind("P0_1"), message("D", "P"), message("E", "", [0, 0, 0, 0]), sync])],
};

const wires = Array.from({ length: clients }, (_, i) => {
  const wire = new ClientWire();
  new Session(context, {
    id: i + 1,
    wire,
    user: config.users[0],
    database,
    greeting: { settings: noSettings, shown: new Map(), messages: Buffer.alloc(0), encoding: "UTF8", standardStrings: true },
    applicationName: "",
    processId: i + 1,
    secretKey: 0,
    registry: { remove() {} },
  });
  return wire;
});
const settle = async () => {
  for (let i = 0; i < 30; i++) {
    await null;
    for (const wire of serverWires) wire.speak();
  }
};

function run(texts, count) {
  const before = wires.reduce((sum, wire) => sum + wire.answered, 0);
  for (let done = 0; done < count; done += clients) {
    for (let i = 0; i < clients; i++) wires[i].say(texts[(done + i) % texts.length]);
    // Waiters get the servers that come free.
    for (let left = clients; left > 0; left -= serverWires.length) for (let i = 0; i < serverWires.length; i++) serverWires[i].speak();
  }
  const answered = wires.reduce((sum, wire) => sum + wire.answered, 0) - before;
  if (answered < count) throw new Error(`${answered} answers to ${count} queries`);
  return answered;
}

for (const wire of wires) wire.say(queries.simple[0]);
await settle();
for (const wire of wires) wire.say(Buffer.concat([message("P", "P0_1", `${select}$1;`, [0, 0]), sync]));
await settle();
for (const protocol of protocols) {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    // CPU time: what else the machine does matters less.
    const begun = process.cpuUsage();
    const answered = run(queries[protocol], queriesPerRound);
    const { user, system } = process.cpuUsage(begun);
    best = Math.min(best, ((user + system) * 1_000) / answered);
    await null;
  }
  console.log(`${protocol}, ${clients} clients: ${best.toFixed(0)} ns a query`);
}
