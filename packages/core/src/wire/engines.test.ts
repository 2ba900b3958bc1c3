import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { openListeners } from "../supervisor/listener.js";
import { openRig, patterned, Recorder, type Rig, readAll, readBytes, smallestBuffers, turns } from "./fixtures/wire-rig.js";

const engines = process.platform === "linux" ? (["streams", "sockets"] as const) : (["streams"] as const);

describe.each(engines)("%s", (io) => {
  const cleanups: (() => void)[] = [];
  afterEach(() => {
    for (const cleanup of cleanups.splice(0).reverse()) cleanup();
  });

  async function rigOf(host?: string): Promise<Rig> {
    const rig = await openRig(io, openListeners, host);
    cleanups.push(() => rig.close());
    return rig;
  }

  test("what a peer says is heard, and what is written arrives", async () => {
    const rig = await rigOf();
    const { wire, reader, peer } = await rig.connect();
    expect(wire.remoteAddress).toBe("127.0.0.1");
    expect(wire.remotePort).toBe(peer.localPort);
    expect(wire.tls).toBe(false);
    peer.write("hello");
    await reader.until(({ sizeBytes }) => sizeBytes === 5);
    expect(reader.text).toBe("hello");
    expect(wire.write(Buffer.from("..world.."), 2, 7)).toBe(true);
    expect((await readBytes(peer, 5)).toString()).toBe("world");
  });

  test("a message may be split at any byte", async () => {
    const rig = await rigOf();
    const message = patterned(24);
    for (let split = 1; split < message.length; split++) {
      const { reader, peer } = await rig.connect();
      peer.write(message.subarray(0, split));
      await reader.until(({ sizeBytes }) => sizeBytes === split);
      peer.write(message.subarray(split));
      await reader.until(({ sizeBytes }) => sizeBytes === message.length);
      expect(reader.bytes).toEqual(message);
      peer.destroy();
    }
  });

  test("a chunk can be passed on as it is, to another wire and back", async () => {
    const rig = await rigOf();
    const front = await rig.connect();
    const back = await rig.connect();
    front.reader.onChunk = (chunk, start, end) => void back.wire.write(chunk, start, end);
    back.reader.onChunk = (chunk, start, end) => void front.wire.write(chunk, start, end);
    back.peer.pipe(back.peer);
    const sent = patterned(300_000);
    const got = readBytes(front.peer, sent.length);
    front.peer.write(sent);
    expect((await got).equals(sent)).toBe(true);
  });

  test("a peer that stops reading congests its own wire alone, and drains when it reads again", async () => {
    const rig = await rigOf();
    const slow = await rig.connect();
    const other = await rig.connect();
    other.reader.onChunk = (chunk, start, end) => void other.wire.write(chunk, start, end);
    slow.peer.pause();
    const block = patterned(50_000);
    let sentBytes = 0;
    do {
      sentBytes += block.length;
      if (sentBytes > 64 << 20) throw new Error("it never congests");
    } while (slow.wire.write(block, 0, block.length));
    expect(slow.wire.congested).toBe(true);
    expect(slow.wire.queuedBytes).toBeGreaterThan(100_000);
    expect(slow.wire.queuedBytes).toBeLessThan(300_000);
    await turns(5);
    expect(slow.reader.drains).toBe(0);
    other.peer.write("still here");
    expect((await readBytes(other.peer, 10)).toString()).toBe("still here");

    const got = readBytes(slow.peer, sentBytes);
    slow.peer.resume();
    await slow.reader.until(({ drains }) => drains > 0);
    expect(slow.wire.congested).toBe(false);
    expect(slow.wire.queuedBytes).toBe(0);
    const bytes = await got;
    expect(bytes.length).toBe(sentBytes);
    for (let at = 0; at < sentBytes; at += block.length) expect(bytes.subarray(at, at + block.length).equals(block)).toBe(true);
    expect(slow.reader.drains).toBe(1);
  });

  test("many short writes to a slow reader keep their order", async () => {
    const rig = await rigOf();
    const { wire, peer } = await rig.connect();
    peer.pause();
    const all = patterned(6_000_000);
    for (let at = 0, size = 1; at < all.length; at += size, size = (size * 7 + 13) % 9_001 || 1)
      wire.write(all, at, Math.min(all.length, at + size));
    wire.end();
    peer.resume();
    expect((await readAll(peer)).equals(all)).toBe(true);
  });

  test("the smallest buffers that the system has are enough, both ways", async () => {
    const rig = await openRig(io, smallestBuffers(openListeners));
    cleanups.push(() => rig.close());
    const { wire, reader, peer } = await rig.connect();
    reader.onChunk = (chunk, start, end) => void wire.write(chunk, start, end);
    const sent = patterned(200_000);
    const got = readBytes(peer, sent.length);
    peer.write(sent);
    expect((await got).equals(sent)).toBe(true);
  });

  test("nothing is heard while paused, and nothing is lost", async () => {
    const rig = await rigOf();
    const { wire, reader, peer } = await rig.connect();
    wire.pause();
    wire.pause();
    const sent = patterned(200_000);
    peer.write(sent);
    await turns(20);
    const early = reader.sizeBytes;
    expect(early).toBeLessThanOrEqual(io === "streams" ? 65_536 : 0); // a stream may have been reading already
    wire.resume();
    await reader.until(({ sizeBytes }) => sizeBytes === sent.length);
    expect(reader.bytes.equals(sent)).toBe(true);
  });

  test("pausing within onBytes holds back the rest", async () => {
    const rig = await rigOf();
    const { wire, reader, peer } = await rig.connect();
    reader.onChunk = () => wire.pause();
    const sent = patterned(1_000_000);
    peer.write(sent);
    while (reader.sizeBytes < sent.length) {
      const before = reader.chunks.length;
      await reader.until(({ chunks }) => chunks.length > before);
      await turns(2);
      expect(reader.chunks.length).toBe(before + 1);
      wire.resume();
      expect(reader.chunks.length).toBe(before + 1); // not within the call
    }
    expect(reader.bytes.equals(sent)).toBe(true);
  });

  test("a peer that closes its side is gone, after what it said", async () => {
    const rig = await rigOf();
    const { reader, peer } = await rig.connect();
    peer.end("last words");
    expect(await reader.untilClosed()).toBeNull();
    expect(reader.text).toBe("last words");
    expect(reader.closings).toHaveLength(1);
  });

  test("a peer that closes while its wire is paused is heard out after resume", async () => {
    const rig = await rigOf();
    const { wire, reader, peer } = await rig.connect();
    wire.pause();
    const sent = patterned(150_000);
    peer.end(sent);
    await turns(20);
    expect(reader.closings).toHaveLength(0);
    wire.resume();
    expect(await reader.untilClosed()).toBeNull();
    expect(reader.bytes.equals(sent)).toBe(true);
  });

  test.each(["idle", "with bytes queued", "while it is ended"])("a reset by the peer closes the wire: %s", async (state) => {
    const rig = await rigOf();
    const { wire, reader, peer } = await rig.connect();
    if (state !== "idle") {
      peer.pause();
      const block = patterned(100_000);
      while (wire.write(block, 0, block.length));
    }
    if (state === "while it is ended") wire.end();
    peer.resetAndDestroy();
    const error = await reader.untilClosed();
    if (state === "idle") expect(error?.message).toMatch(/ECONNRESET/);
    expect(reader.closings).toHaveLength(1);
    expect(wire.queuedBytes).toBe(0);
    expect(wire.write(Buffer.from("x"), 0, 1)).toBe(true);
  });

  test("a reset while the wire is paused neither spins nor is lost", async () => {
    const rig = await rigOf();
    const { wire, reader, peer } = await rig.connect();
    wire.pause();
    await turns(3);
    peer.resetAndDestroy();
    await turns(3);
    const before = process.cpuUsage();
    await new Promise((done) => setTimeout(done, 300));
    const { user, system } = process.cpuUsage(before);
    expect(user + system).toBeLessThan(100_000);
    wire.resume();
    await reader.untilClosed();
    expect(reader.closings).toHaveLength(1);
  });

  test("end() sends what is queued, and only then closes", async () => {
    const rig = await rigOf();
    const { wire, reader, peer } = await rig.connect();
    peer.pause();
    const sent = patterned(8_000_000);
    wire.write(sent, 0, sent.length);
    wire.end();
    wire.end();
    expect(reader.closings).toHaveLength(0);
    peer.resume();
    expect((await readAll(peer)).equals(sent)).toBe(true);
    expect(await reader.untilClosed()).toBeNull();
    expect(reader.closings).toHaveLength(1);
  });

  test("the last words reach a peer whose own were not read", async () => {
    const rig = await rigOf();
    const { wire, peer } = await rig.connect();
    wire.pause();
    peer.write(patterned(50_000));
    await turns(10);
    wire.write(Buffer.from("go away"), 0, 7);
    wire.end();
    expect((await readAll(peer)).toString()).toBe("go away");
  });

  test("destroy() tells the reader once, but not within the call", async () => {
    const rig = await rigOf();
    const { wire, reader, peer } = await rig.connect();
    const closed = once(peer.resume(), "close");
    wire.destroy();
    expect(reader.closings).toHaveLength(0);
    wire.destroy();
    wire.end();
    wire.pause();
    wire.resume();
    expect(wire.write(Buffer.from("x"), 0, 1)).toBe(true);
    expect(await reader.untilClosed()).toBeNull();
    expect(reader.closings).toHaveLength(1);
    await closed;
  });

  test("a wire that is destroyed by another's reader hears nothing more", async () => {
    const rig = await rigOf();
    const pairs = await Promise.all(Array.from({ length: 20 }, () => rig.connect()));
    const destroyed = new Set<Recorder>();
    for (const [i, { reader }] of pairs.entries()) {
      reader.onChunk = () => {
        expect(destroyed.has(reader)).toBe(false);
        const other = pairs[i ^ 1];
        if (other === undefined) return;
        destroyed.add(other.reader);
        other.wire.destroy();
        expect(other.reader.closings).toHaveLength(0);
      };
    }
    for (const { peer } of pairs) peer.write("x");
    await Promise.all(pairs.map(({ reader }) => reader.until(({ chunks, closings }) => chunks.length + closings.length > 0)));
    await turns(5);
    expect(destroyed.size).toBe(10);
    for (const { reader } of pairs) expect(reader.closings).toHaveLength(destroyed.has(reader) ? 1 : 0);
  });

  test("a reader that throws loses its connection alone, and the log says so", async () => {
    const rig = await rigOf();
    const bad = await rig.connect();
    const good = await rig.connect();
    bad.reader.onChunk = () => {
      throw new Error("a bug of a reader");
    };
    good.reader.onChunk = (chunk, start, end) => void good.wire.write(chunk, start, end);
    bad.peer.write("x");
    good.peer.write("y");
    expect((await readBytes(good.peer, 1)).toString()).toBe("y");
    await bad.reader.untilClosed();
    expect(bad.reader.closings).toHaveLength(1);
    expect(rig.log.join("")).toContain("a bug of a reader");
  });

  test.each(["onDrain", "onClosed", "onAccept", "onDialed"])("a bug in %s costs one connection, and the log says so", async (where) => {
    const rig = await rigOf();
    const good = await rig.connect();
    good.reader.onChunk = (chunk, start, end) => void good.wire.write(chunk, start, end);
    const bug = (): never => {
      throw new Error(`a bug in ${where}`);
    };
    if (where === "onAccept") {
      rig.onAccept = bug;
      const peer = net.connect(rig.port, "127.0.0.1").on("error", () => {});
      await once(peer.resume(), "close");
      rig.onAccept = () => {};
    } else if (where === "onDialed") {
      const accepted = new Promise<Recorder>((done) => {
        rig.onAccept = ({ reader }) => done(reader);
      });
      rig.engine.dial({ host: "127.0.0.1", port: rig.port, timeoutMs: 5_000 }, new Recorder(), bug);
      await (await accepted).untilClosed();
    } else {
      const { wire, peer } = await rig.connect();
      wire.reader = { onBytes() {}, onDrain() {}, onClosed() {}, [where]: bug };
      peer.on("error", () => {});
      peer.pause();
      const block = patterned(100_000);
      if (where === "onDrain") while (wire.write(block, 0, block.length));
      else wire.destroy();
      await once(peer.resume(), "close");
    }
    await turns(3);
    expect(rig.log.join("")).toContain(`a bug in ${where}`);
    good.peer.write("still here");
    expect((await readBytes(good.peer, 10)).toString()).toBe("still here");
    await rig.connect();
  });

  test("what a reader leaves to a microtask happens at once", async () => {
    const rig = await rigOf();
    const accepted = new Promise<Recorder>((done) => {
      rig.onAccept = ({ reader }) => done(reader);
    });
    const { wire } = await rig.dial();
    const reader = await accepted;
    let ranAtMs = Number.POSITIVE_INFINITY;
    reader.onChunk = () =>
      queueMicrotask(() => {
        ranAtMs = performance.now();
      });
    // Nothing but wires and one timer: no callback of Node's runs microtasks by the way.
    const [startedAtMs, ranBeforeTimer] = await new Promise<[number, boolean]>((done) => {
      setTimeout(() => {
        const writtenAtMs = performance.now();
        setTimeout(() => done([writtenAtMs, Number.isFinite(ranAtMs)]), 100);
        wire.write(Buffer.from("x"), 0, 1);
      }, 5);
    });
    expect(ranBeforeTimer).toBe(true);
    expect(ranAtMs - startedAtMs).toBeLessThan(60);
  });

  test("a thousand connections are served at a time", async () => {
    const rig = await rigOf();
    rig.onAccept = ({ wire, reader }) => {
      reader.onChunk = (chunk, start, end) => void wire.write(chunk, start, end);
    };
    const pairs = await Promise.all(Array.from({ length: 1_000 }, () => rig.connect()));
    const answers = pairs.map(({ peer }) => readBytes(peer, 9));
    for (const [i, { peer }] of pairs.entries()) peer.write(`number ${String(i).padStart(2, "0")}`.padEnd(9).slice(0, 9));
    for (const [i, answer] of (await Promise.all(answers)).entries())
      expect(answer.toString()).toBe(`number ${String(i).padStart(2, "0")}`.padEnd(9).slice(0, 9));
  });

  test("a listener that is closed accepts nobody; what is connected stays", async () => {
    const rig = await rigOf();
    const { wire, peer } = await rig.connect();
    rig.listener.close();
    await turns(3);
    wire.write(Buffer.from("x"), 0, 1);
    expect((await readBytes(peer, 1)).toString()).toBe("x");
    let accepted = 0;
    rig.onAccept = () => void accepted++;
    const late = net.connect(rig.port, "127.0.0.1");
    late.on("error", () => {});
    await new Promise((done) => setTimeout(done, 50));
    late.destroy();
    expect(accepted).toBe(0);
  });

  test("Unix-domain sockets are served and dialed by their directory", async () => {
    const directory = mkdtempSync(join(tmpdir(), "wire-"));
    cleanups.push(() => rmSync(directory, { recursive: true }));
    const rig = await rigOf(directory);
    const accepted = new Promise<string>((done) => {
      rig.onAccept = ({ wire, reader }) => {
        reader.onChunk = (chunk, start, end) => {
          wire.write(chunk, start, end);
          wire.end();
          done(wire.remoteAddress);
        };
      };
    });
    const { wire, reader } = await rig.dial({ port: 5432 });
    expect(wire.remoteAddress).toBe("unix");
    wire.write(Buffer.from("hello"), 0, 5);
    expect(await reader.untilClosed()).toBeNull();
    expect(reader.text).toBe("hello");
    expect(await accepted).toBe("unix");
  });

  test("a host is dialed by address and by name", async () => {
    const rig = await rigOf();
    rig.onAccept = ({ wire, reader }) => {
      reader.onChunk = (chunk, start, end) => void wire.write(chunk, start, end);
    };
    for (const host of ["127.0.0.1", "localhost"]) {
      const { wire, reader } = await rig.dial({ host });
      expect(wire.remoteAddress).toBe("127.0.0.1");
      expect(wire.remotePort).toBe(rig.port);
      wire.write(Buffer.from("hello"), 0, 5);
      await reader.until(({ sizeBytes }) => sizeBytes === 5);
      expect(reader.text).toBe("hello");
    }
  });

  test("dialing says why it failed: nobody listens, no such name, no such socket", async () => {
    const rig = await rigOf();
    const closed = await openListeners({ host: "127.0.0.1", port: 0, backlog: 1 });
    closed.close();
    await expect(rig.dial({ port: closed.port })).rejects.toThrow(`connect ECONNREFUSED 127.0.0.1:${closed.port}`);
    await expect(rig.dial({ host: "nowhere.invalid" })).rejects.toThrow(/nowhere\.invalid/);
    await expect(rig.dial({ host: "/nowhere" })).rejects.toThrow(/connect ENOENT \/nowhere/);
  });

  test("a host that does not answer is given up in time", async () => {
    const rig = await rigOf();
    // The queue of a socket that nobody accepts on fills up; then the system does not answer any more.
    const full = await openListeners({ host: "127.0.0.1", port: 0, backlog: 1 });
    cleanups.push(() => full.close());
    for (let i = 0; i < 3; i++) {
      const filler = net.connect(full.port, "127.0.0.1");
      filler.on("error", () => {});
      cleanups.push(() => filler.destroy());
    }
    await turns(20);
    const startedAtMs = performance.now();
    await expect(rig.dial({ port: full.port, timeoutMs: 200 })).rejects.toThrow(`no answer from 127.0.0.1:${full.port} within 200 ms`);
    expect(performance.now() - startedAtMs).toBeGreaterThan(190);
    expect(performance.now() - startedAtMs).toBeLessThan(1_000);
  });
});
