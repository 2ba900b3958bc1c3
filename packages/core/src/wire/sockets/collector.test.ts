import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, describe, expect, test } from "vitest";
import { openListeners } from "../../supervisor/listener.js";
import { openRig, patterned, type Rig, readBytes, turns } from "../fixtures/wire-rig.js";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as (options?: { readonly type: "minor" }) => void;

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

/** Garbage of all sizes, so that memory that was freed too early is written over. */
function litter(): Buffer[] {
  const garbage: Buffer[] = [];
  for (const sizeBytes of [16, 64, 512, 3_072, 4_096, 16_384, 65_536]) {
    for (let i = 0; i < 8; i++) garbage.push(Buffer.allocUnsafeSlow(sizeBytes).fill(0xee));
  }
  return garbage;
}

describe.runIf(process.platform === "linux")("while the garbage collector runs", () => {
  async function rigOf(): Promise<Rig> {
    const rig = await openRig("sockets", openListeners);
    cleanups.push(() => rig.close());
    rig.onAccept = ({ wire, reader }) => {
      reader.onChunk = (chunk, start, end) => {
        collect({ type: "minor" });
        wire.write(chunk, start, end);
      };
    };
    return rig;
  }

  test("events keep coming, and bytes are what they were", async () => {
    const rig = await rigOf();
    const { peer } = await rig.connect();
    for (let round = 0; round < 60; round++) {
      collect();
      litter();
      await turns(1);
      const sent = patterned(1_000 + round * 997);
      const got = readBytes(peer, sent.length);
      peer.write(sent);
      expect((await got).equals(sent)).toBe(true);
    }
    const { peer: late } = await rig.connect();
    late.write("still accepting");
    expect((await readBytes(late, 15)).toString()).toBe("still accepting");
  });

  test("what waits to be sent stays where it is", async () => {
    const rig = await rigOf();
    const { wire, peer } = await rig.connect();
    peer.pause();
    const sent = patterned(5_000_000);
    for (let at = 0; at < sent.length; at += 100_000) wire.write(Buffer.from(sent.subarray(at, at + 100_000)), 0, 100_000);
    for (let round = 0; round < 5; round++) {
      collect();
      litter();
      await turns(1);
    }
    const got = readBytes(peer, sent.length);
    peer.resume();
    expect((await got).equals(sent)).toBe(true);
  });

  test("connections that nobody else knows are not forgotten", async () => {
    const rig = await rigOf();
    const peers = (await Promise.all(Array.from({ length: 50 }, () => rig.connect()))).map(({ peer }) => peer);
    for (let round = 0; round < 3; round++) {
      collect();
      litter();
      await turns(2);
    }
    const answers = peers.map((peer) => readBytes(peer, 5));
    for (const peer of peers) peer.write("hello");
    for (const answer of answers) expect((await answer).toString()).toBe("hello");
  });
});
