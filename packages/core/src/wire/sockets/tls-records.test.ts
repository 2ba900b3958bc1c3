import { readFileSync } from "node:fs";
import tls from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { createSilentLogger } from "../../base/logger.js";
import { openListeners } from "../../supervisor/listener.js";
import { connectOpenSsl, leaveAnError, type OpenSslPeer } from "../fixtures/openssl-peer.js";
import { type Accepted, openRig, patterned, type Rig, readBytes, turns } from "../fixtures/wire-rig.js";
import type { TlsUpgrade, Wire, WireEngine } from "../wire.js";
import { loadOpenSsl, type OpenSsl } from "./openssl.js";
import { createSocketsEngine } from "./sockets-engine.js";
import { loadSystem } from "./system.js";

const pem = (name: string): string => readFileSync(new URL(`../../config/fixtures/${name}`, import.meta.url), "utf8");
const cert = pem("server.cert.pem");
const serverSide: TlsUpgrade = { side: "server", cert, key: pem("server.key.pem"), clientCa: null };
const clientSide: TlsUpgrade = { side: "client", host: "localhost", verify: false, ca: null };

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

async function rigOf(engine: "sockets" | WireEngine = "sockets"): Promise<Rig> {
  const rig = await openRig(engine, openListeners);
  cleanups.push(() => rig.close());
  return rig;
}

function secured(wire: Wire, upgrade: TlsUpgrade): Promise<void> {
  return new Promise((done) => wire.startTls(upgrade, done));
}

function nextAccepted(rig: Rig): Promise<Accepted> {
  return new Promise((done) => {
    rig.onAccept = done;
  });
}

describe.runIf(process.platform === "linux")("TLS records", () => {
  async function openSslPair(engine?: WireEngine): Promise<Accepted & { readonly peer: OpenSslPeer }> {
    const rig = await rigOf(engine);
    const accepted = nextAccepted(rig);
    const peer = connectOpenSsl(rig.port, clientSide);
    cleanups.push(() => peer.close());
    const { wire, reader } = await accepted;
    await Promise.all([secured(wire, serverSide), peer.handshake()]);
    return { wire, reader, peer };
  }

  test.each([false, true])("keys may change at any time (both sides: %s)", async (asks) => {
    const { wire, reader, peer } = await openSslPair();
    reader.onChunk = (chunk, start, end) => void wire.write(chunk, start, end);
    for (let round = 0; round < 20; round++) {
      const sent = patterned(1 + round * 1_777);
      peer.updateKeys(asks);
      await peer.write(sent);
      expect((await peer.read(sent.length)).equals(sent)).toBe(true);
    }
    expect(reader.closings).toEqual([]);
  });

  // As if the chunk were full after a few bytes: what is left of the record is told by no event.
  test.each([
    ["it is read on", false],
    ["it pauses on the way", true],
  ])("what OpenSSL has decrypted already is not forgotten when %s", async (_, pauses) => {
    const openSsl = loadOpenSsl();
    let isFull = false;
    const sparing: OpenSsl = {
      ...openSsl,
      read(session, address, sizeBytes) {
        isFull = true;
        return openSsl.read(session, address, Math.min(999, sizeBytes));
      },
      hasPending(session) {
        const answer = isFull ? 0 : openSsl.hasPending(session);
        isFull = false;
        return answer;
      },
    };
    const { wire, reader, peer } = await openSslPair(createSocketsEngine(createSilentLogger(), loadSystem(), sparing));
    reader.onChunk = () => pauses && wire.pause();
    const sent = patterned(64_000);
    wire.pause();
    for (let at = 0; at < sent.length; at += 16_000) await peer.write(sent.subarray(at, at + 16_000));
    await turns(5);
    while (reader.sizeBytes < sent.length) {
      const before = reader.sizeBytes;
      wire.resume();
      await reader.until(({ sizeBytes }) => sizeBytes > before);
      if (!pauses) await reader.until(({ sizeBytes }) => sizeBytes === sent.length);
      await turns(2);
    }
    expect(reader.chunks.length).toBeGreaterThan(60);
    expect(reader.bytes.equals(sent)).toBe(true);
  });

  test("keys change while bytes wait to be sent, and each arrives", async () => {
    const { wire, reader, peer } = await openSslPair();
    const block = patterned(60_000);
    let sentBytes = 0;
    do sentBytes += block.length;
    while (wire.write(block, 0, block.length));
    for (let round = 0; round < 5; round++) {
      peer.updateKeys(true);
      await peer.write(Buffer.from("x"));
    }
    for (let at = 0; at < sentBytes; at += block.length) expect((await peer.read(block.length)).equals(block)).toBe(true);
    await reader.until(({ sizeBytes, drains }) => sizeBytes === 5 && drains === 1);
    wire.write(Buffer.from("well"), 0, 4);
    expect((await peer.read(4)).toString()).toBe("well");
  });

  test("what other users of OpenSSL leave in its queue of errors is nobody's failure", async () => {
    const rig = await rigOf();
    let isOver = false;
    const leave = (): void => {
      leaveAnError();
      if (!isOver) setImmediate(leave);
    };
    leave();
    rig.onAccept = ({ wire, reader }) => {
      wire.startTls(serverSide, () => {});
      reader.onChunk = (chunk, start, end) => {
        leaveAnError();
        wire.write(chunk, start, end);
      };
    };
    const peer = connectOpenSsl(rig.port, clientSide);
    cleanups.push(() => peer.close());
    await peer.handshake();
    for (let round = 0; round < 20; round++) {
      const sent = patterned(round * 3_001 + 1);
      await Promise.all([peer.write(sent), peer.read(sent.length).then((got) => expect(got.equals(sent)).toBe(true))]);
    }
    isOver = true;
  });

  test("a client that wants to renegotiate is not heard, and the others are served", async () => {
    const rig = await rigOf();
    const { wire, reader, peer } = await rig.connect();
    const secure = tls.connect({ socket: peer, ca: cert, servername: "localhost", maxVersion: "TLSv1.2" });
    const refused = new Promise<Error>((done) => void secure.once("error", done));
    await Promise.all([secured(wire, serverSide), new Promise((done) => secure.once("secureConnect", done))]);
    secure.renegotiate({ rejectUnauthorized: false }, () => {});
    expect((await refused).message).toMatch(/no.renegotiation/);
    await reader.untilClosed();
    expect(reader.closings).toHaveLength(1);
    const other = await rig.connect();
    const [, again] = await Promise.all([
      secured(other.wire, serverSide),
      new Promise<tls.TLSSocket>((done) => {
        const socket = tls.connect({ socket: other.peer, ca: cert, servername: "localhost" }, () => done(socket));
      }),
    ]);
    other.wire.write(Buffer.from("well"), 0, 4);
    expect((await readBytes(again, 4)).toString()).toBe("well");
  });
});
