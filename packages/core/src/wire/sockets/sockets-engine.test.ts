import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { createLogger, createSilentLogger } from "../../base/logger.js";
import { native } from "../../base/native.js";
import { openListeners } from "../../supervisor/listener.js";
import { openRig, patterned, type Recorder, type Rig, readBytes, turns } from "../fixtures/wire-rig.js";
import { createPoller, type Pollable } from "./poller.js";
import { addressOfBuffer, Epoll, loadSystem, type System } from "./system.js";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

async function rigOf(): Promise<Rig> {
  const rig = await openRig("sockets", openListeners);
  cleanups.push(() => rig.close());
  return rig;
}

/** Two connected sockets. */
function socketPair(system: System): [number, number] {
  const pair = Buffer.alloc(8);
  const make = native().load(null).func("int socketpair(int, int, int, void *)");
  expect(make(1, 1 | 0x800 | 0x80000, 0, pair)).toBe(0);
  const fds: [number, number] = [pair.readInt32LE(0), pair.readInt32LE(4)];
  cleanups.push(() => fds.forEach((fd) => void system.close(fd)));
  return fds;
}

describe.runIf(process.platform === "linux")("poller", () => {
  test("an event of a descriptor that was closed in the same batch does not reach its successor", async () => {
    const system = loadSystem();
    const poller = createPoller(system, createSilentLogger());
    const byte = Buffer.from("x");
    const seen: string[] = [];
    const owner = (onEvents: (events: number) => void): Pollable => ({
      generation: 0,
      onEvents,
      onBug: (error) => void seen.push(String(error)),
    });
    const pairs = [socketPair(system), socketPair(system)] as const;
    let replaced = -1;
    const replaceOther = (other: number): void => {
      if (replaced >= 0) return;
      const fd = pairs[other as 0 | 1][0];
      poller.remove(fd);
      system.close(fd);
      // The lowest free number: the one that was just closed.
      const [successor] = socketPair(system);
      expect(successor).toBe(fd);
      replaced = successor;
      poller.add(
        successor,
        Epoll.IN,
        owner(() => void seen.push("stale")),
      );
    };
    for (const [at, [fd]] of pairs.entries())
      poller.add(
        fd,
        Epoll.IN,
        owner(() => {
          replaceOther(at ^ 1);
          poller.remove(fd);
        }),
      );
    for (const [, far] of pairs) system.send(far, addressOfBuffer(byte), 1, 0);
    await turns(10);
    expect(replaced).toBeGreaterThan(0);
    expect(seen).toEqual([]);
    poller.remove(replaced);
  });
});

describe.runIf(process.platform === "linux")("sockets", () => {
  test("a connection that never stops talking does not keep the others waiting", async () => {
    const rig = await rigOf();
    const loud = await rig.connect();
    const quiet = await rig.connect();
    const order: Recorder[] = [];
    for (const { reader } of [loud, quiet]) reader.onChunk = () => void order.push(reader);
    loud.peer.write(patterned(4_000_000));
    quiet.peer.write("x");
    await quiet.reader.until(({ sizeBytes }) => sizeBytes === 1);
    // One chunk of the loud one for each round of events.
    expect(order.indexOf(quiet.reader)).toBeLessThan(4);
    expect(Math.max(...loud.reader.chunks.map(({ length }) => length))).toBeLessThanOrEqual(65_536);
    await loud.reader.until(({ sizeBytes }) => sizeBytes === 4_000_000);
  });

  test.each(["closes", "resets"])("a peer that %s is gone before anything is heard of what others said later", async (how) => {
    const rig = await rigOf();
    const [gone, other] = [await rig.connect(), await rig.connect()];
    const order: string[] = [];
    gone.wire.reader = { onBytes() {}, onDrain() {}, onClosed: () => void order.push("gone") };
    other.reader.onChunk = () => void order.push("the other speaks");
    // Both happen at once, and are read as one batch of events.
    if (how === "closes") gone.peer.destroy();
    else gone.peer.resetAndDestroy();
    other.peer.write("x");
    await other.reader.until(({ sizeBytes }) => sizeBytes === 1);
    await turns(3);
    expect(order).toEqual(["gone", "the other speaks"]);
  });

  test("timers have their turn while bytes keep coming", async () => {
    const rig = await rigOf();
    const a = await rig.connect();
    const b = await rig.connect();
    // Two wires that keep each other busy for ever.
    a.peer.pipe(a.peer);
    b.peer.pipe(b.peer);
    for (const { wire, reader } of [a, b]) reader.onChunk = (chunk, start, end) => void wire.write(chunk, start, end);
    a.wire.write(Buffer.from("ping"), 0, 4);
    b.wire.write(Buffer.from("pong"), 0, 4);
    await a.reader.until(({ chunks }) => chunks.length > 5);
    const startedAtMs = performance.now();
    const before = a.reader.chunks.length;
    await new Promise((done) => setTimeout(done, 50));
    expect(performance.now() - startedAtMs).toBeLessThan(200);
    expect(a.reader.chunks.length).toBeGreaterThan(before);
  });

  test("a connection that is left to other processes is taken after all when none of them does", async () => {
    const rig = await rigOf();
    await rig.connect();
    let asked = 0;
    rig.leavesToOthers = () => {
      asked++;
      return true;
    };
    const startedAtMs = performance.now();
    const cpu = process.cpuUsage();
    await Promise.all(Array.from({ length: 20 }, () => rig.connect()));
    expect(performance.now() - startedAtMs).toBeGreaterThan(40);
    expect(asked).toBeGreaterThan(5);
    expect(asked).toBeLessThan(40 + (performance.now() - startedAtMs) / 2);
    // As soon as there is a reason to, it is taken at once.
    rig.leavesToOthers = () => false;
    await rig.connect();
    const { user, system } = process.cpuUsage(cpu);
    expect(user + system).toBeLessThan(400_000);
  });

  test("when descriptors run out, accepting rests, says so once, and goes on", async () => {
    const rig = await rigOf();
    let accepted = 0;
    rig.onAccept = ({ wire }) => {
      accepted++;
      wire.write(Buffer.from("!"), 0, 1);
    };
    await rig.connect(); // all that is loaded late has been
    createLogger({ level: "info", format: "json", write: () => {} }).info({}, "so has what writes lines");
    const limits = Buffer.alloc(16);
    const old = Buffer.alloc(16);
    const prlimit = native().load(null).func("int prlimit(int, int, const void *, void *)");
    const limitFiles = (count: bigint): void => {
      expect(prlimit(0, 7, null, old)).toBe(0);
      old.copy(limits);
      limits.writeBigUInt64LE(count, 0);
      expect(prlimit(0, 7, limits, null)).toBe(0);
    };
    const script = `const net = require("node:net"); let open = 0;
      for (let i = 0; i < 5; i++) net.connect(${rig.port}, "127.0.0.1", () => ++open === 5 && console.log("connected")).on("data", () => console.log("served"));`;
    const clients = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    cleanups.push(() => clients.kill());
    // Every descriptor is taken before the clients come: node takes longer to start than this.
    const taken: number[] = [];
    const highest = openSync("/dev/null", "r");
    limitFiles(BigInt(highest + 1));
    try {
      for (;;) taken.push(openSync("/dev/null", "r"));
    } catch {}
    try {
      const before = accepted;
      await readBytes(clients.stdout, "connected\n".length);
      const cpu = process.cpuUsage();
      await new Promise((done) => setTimeout(done, 350));
      const { user, system } = process.cpuUsage(cpu);
      expect(user + system).toBeLessThan(120_000);
      expect(accepted).toBe(before);
    } finally {
      for (const fd of taken) closeSync(fd);
      expect(prlimit(0, 7, old, null)).toBe(0);
      closeSync(highest);
    }
    await readBytes(clients.stdout, 5 * "served\n".length);
    expect(accepted).toBe(6);
    const lines = rig.log.filter((line) => line.includes("accept EMFILE"));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("no connections can be accepted for now");
  });
});
