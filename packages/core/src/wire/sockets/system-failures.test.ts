import { getSystemErrorName } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { createLogger } from "../../base/logger.js";
import { openListeners } from "../../supervisor/listener.js";
import { createFaultySystem, type FaultySystem } from "../fixtures/faulty-system.js";
import { openRig, patterned, type Rig, readAll, readBytes, turns } from "../fixtures/wire-rig.js";
import type { WireEngine } from "../wire.js";
import { createSocketsEngine } from "./sockets-engine.js";
import { Errno } from "./system.js";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

/** An engine is made for the life of a process. */
let shared: { readonly faulty: FaultySystem; readonly engine: WireEngine; readonly lines: string[] } | undefined;

function faultyEngine(): NonNullable<typeof shared> {
  if (shared !== undefined) return shared;
  const faulty = createFaultySystem();
  const lines: string[] = [];
  const log = createLogger({ level: "info", format: "json", write: (line) => void lines.push(line) });
  shared = { faulty, engine: createSocketsEngine(log, faulty.system), lines };
  return shared;
}

async function rigOf(): Promise<Rig & { readonly faulty: FaultySystem }> {
  const { faulty, engine, lines } = faultyEngine();
  faulty.reset();
  lines.length = 0;
  const rig = await openRig(engine, openListeners);
  cleanups.push(() => rig.close());
  return Object.assign(rig, { faulty, log: lines });
}

const named = (...codes: number[]): [string, number][] => codes.map((code) => [getSystemErrorName(-code), code]);

describe.runIf(process.platform === "linux")("when the system fails", () => {
  test.each(named(Errno.EINTR, Errno.ECONNABORTED, Errno.EPROTO))(
    "accept: %s concerns that attempt alone, and nobody waits",
    async (_, errno) => {
      const rig = await rigOf();
      rig.faulty.fail("accept", errno, 3);
      const { wire, peer } = await rig.connect();
      wire.write(Buffer.from("!"), 0, 1);
      expect((await readBytes(peer, 1)).toString()).toBe("!");
      expect(rig.faulty.calls.accept).toBeGreaterThanOrEqual(4);
      expect(rig.log).toEqual([]);
    },
  );

  test.each(named(Errno.EMFILE, Errno.ENFILE, Errno.ENOBUFS, Errno.ENOMEM))(
    "accept: %s makes accepting rest and is told once; who is connected is served meanwhile",
    async (name, errno) => {
      const rig = await rigOf();
      const early = await rig.connect();
      early.reader.onChunk = (chunk, start, end) => void early.wire.write(chunk, start, end);
      const before = rig.faulty.calls.accept;
      rig.faulty.fail("accept", errno, 3);
      const startedAtMs = performance.now();
      const late = rig.connect();
      early.peer.write("x");
      expect((await readBytes(early.peer, 1)).toString()).toBe("x");
      await late;
      expect(performance.now() - startedAtMs).toBeGreaterThan(250);
      expect(rig.faulty.calls.accept - before).toBeLessThan(8);
      const lines = rig.log.filter((line) => line.includes(`accept ${name}`));
      expect(lines).toHaveLength(1);
    },
  );

  test.each(named(Errno.EINTR, Errno.EAGAIN, Errno.ENOBUFS, Errno.ENOMEM))("recv: %s is tried again", async (_, errno) => {
    const rig = await rigOf();
    const { reader, peer } = await rig.connect();
    rig.faulty.fail("recv", errno, 3);
    peer.write("hello");
    await reader.until(({ sizeBytes }) => sizeBytes === 5);
    expect(reader.closings).toEqual([]);
  });

  test.each(named(Errno.ECONNRESET, Errno.ETIMEDOUT))("recv: %s closes that connection with the reason", async (name, errno) => {
    const rig = await rigOf();
    const { reader, peer } = await rig.connect();
    peer.on("error", () => {});
    rig.faulty.fail("recv", errno);
    peer.write("hello");
    expect((await reader.untilClosed())?.message).toBe(`read ${name}`);
    expect(reader.text).toBe("");
  });

  test.each(named(Errno.EINTR, Errno.EAGAIN, Errno.ENOBUFS, Errno.ENOMEM))("send: %s loses no byte and no order", async (_, errno) => {
    const rig = await rigOf();
    const { wire, peer } = await rig.connect();
    const all = patterned(300_000);
    for (let at = 0; at < all.length; at += 50_000) {
      rig.faulty.fail("send", errno, 2);
      wire.write(all, at, at + 50_000);
      await turns(1);
    }
    wire.end();
    expect((await readAll(peer)).equals(all)).toBe(true);
  });

  test.each(["at once", "from the queue", "while it is ended"])(
    "send: EPIPE (%s) closes once the peer's last words have been read",
    async (when) => {
      const rig = await rigOf();
      const { wire, reader, peer } = await rig.connect();
      peer.on("error", () => {});
      if (when !== "at once") {
        rig.faulty.fail("send", Errno.EAGAIN);
        wire.write(Buffer.from(" before"), 1, 7);
        expect(wire.queuedBytes).toBe(6);
      }
      rig.faulty.fail("send", Errno.EPIPE, 5);
      if (when === "while it is ended") wire.end();
      else wire.write(Buffer.from(" x"), 1, 2);
      peer.write("last words");
      peer.end();
      const error = await reader.untilClosed();
      expect(error?.message).toBe("write EPIPE");
      expect(reader.closings).toHaveLength(1);
      expect(reader.text).toBe(when === "while it is ended" ? "" : "last words");
      expect(wire.queuedBytes).toBe(0);
    },
  );

  test("epoll_wait: EINTR is nothing to tell, and nothing is missed", async () => {
    const rig = await rigOf();
    const { reader, peer } = await rig.connect();
    rig.faulty.fail("epollWait", Errno.EINTR, 5);
    peer.write("hello");
    await reader.until(({ sizeBytes }) => sizeBytes === 5);
    expect(rig.log).toEqual([]);
  });

  test.each(named(Errno.EMFILE, Errno.ENFILE, Errno.ENOBUFS))("dialing: %s is told, and the next attempt works", async (name, errno) => {
    const rig = await rigOf();
    rig.faulty.fail("socket", errno);
    await expect(rig.dial()).rejects.toThrow(`socket ${name}`);
    const { wire } = await rig.dial();
    expect(wire.remotePort).toBe(rig.port);
  });

  test("one byte at a time, and none every other time, both ways", async () => {
    const rig = await rigOf();
    rig.onAccept = ({ wire, reader }) => {
      reader.onChunk = (chunk, start, end) => void wire.write(chunk, start, end);
    };
    const { peer, reader } = await rig.connect();
    rig.faulty.limitBytes(1);
    const sent = patterned(4_000);
    const got = readBytes(peer, sent.length);
    peer.write(sent);
    expect((await got).equals(sent)).toBe(true);
    expect(reader.chunks).toHaveLength(sent.length);
  });

  test("events are not waited for in place of Node's loop while that has something to tell", async () => {
    const rig = await rigOf();
    const { wire, peer, reader } = await rig.connect();
    reader.onChunk = (chunk, start, end) => void wire.write(chunk, start, end);
    const waitsOf = async (isExpected: boolean): Promise<number> => {
      rig.engine.lookElsewhere(() => isExpected);
      const before = rig.faulty.waits;
      for (let i = 0; i < 20; i++) {
        peer.write("?");
        await readBytes(peer, 1);
      }
      return rig.faulty.waits - before;
    };
    expect(await waitsOf(false)).toBeGreaterThan(0);
    expect(await waitsOf(true)).toBe(0);
    rig.engine.lookElsewhere(() => false);
  });
});
