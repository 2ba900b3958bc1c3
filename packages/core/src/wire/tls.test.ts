import { readFileSync } from "node:fs";
import type net from "node:net";
import tls from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { openListeners } from "../supervisor/listener.js";
import { type Accepted, openRig, patterned, type Rig, readAll, readBytes, smallestBuffers, turns } from "./fixtures/wire-rig.js";
import type { TlsUpgrade, Wire } from "./wire.js";

const engines = process.platform === "linux" ? (["streams", "sockets"] as const) : (["streams"] as const);
const pem = (name: string): string => readFileSync(new URL(`../config/fixtures/${name}`, import.meta.url), "utf8");
/** Its own authority, for localhost and 127.0.0.1, with the common name localhost. */
const cert = pem("server.cert.pem");
const key = pem("server.key.pem");
/** Of nobody that the tests trust. */
const otherCert = pem("expired.cert.pem");

const serverSide: TlsUpgrade = { side: "server", cert, key, clientCa: null };
const clientSide = (changes: Partial<Extract<TlsUpgrade, { side: "client" }>> = {}): TlsUpgrade => ({
  side: "client",
  host: "localhost",
  verify: true,
  ca: cert,
  ...changes,
});

function secured(wire: Wire, upgrade: TlsUpgrade): Promise<void> {
  return new Promise((done) => {
    let returned = false;
    wire.startTls(upgrade, () => {
      expect(returned).toBe(true);
      expect(wire.tls).toBe(true);
      done();
    });
    returned = true;
  });
}

function handshake(socket: net.Socket, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  return new Promise((done, fail) => {
    const secure = tls.connect({ socket, ca: cert, servername: "localhost", ...options });
    secure.on("error", fail);
    secure.once("secureConnect", () => done(secure));
  });
}

describe.each(engines)("%s", (io) => {
  const cleanups: (() => void)[] = [];
  afterEach(() => {
    for (const cleanup of cleanups.splice(0).reverse()) cleanup();
  });

  async function rigOf(): Promise<Rig> {
    const rig = await openRig(io, openListeners);
    cleanups.push(() => rig.close());
    return rig;
  }

  async function securedPair(upgrade = serverSide, options: tls.ConnectionOptions = {}): Promise<Accepted & { peer: tls.TLSSocket }> {
    const rig = await rigOf();
    const { wire, reader, peer } = await rig.connect();
    const [, secure] = await Promise.all([secured(wire, upgrade), handshake(peer, options)]);
    return { wire, reader, peer: secure };
  }

  /** A server of Node's, and a wire that was dialed to it. */
  async function dialed(options: tls.TlsOptions = {}): Promise<Accepted & { peer: Promise<tls.TLSSocket> }> {
    const rig = await rigOf();
    const server = tls.createServer({ cert, key, ...options });
    server.on("tlsClientError", () => {});
    cleanups.push(() => server.close());
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const peer = new Promise<tls.TLSSocket>((done) => server.once("secureConnection", done));
    const pair = await rig.dial({ port: (server.address() as net.AddressInfo).port });
    return { ...pair, peer };
  }

  test.each(["TLSv1.2", "TLSv1.3"] as const)("a client is served under %s, both ways, whatever the sizes", async (version) => {
    const { wire, reader, peer } = await securedPair(serverSide, { minVersion: version, maxVersion: version });
    expect(peer.getProtocol()).toBe(version);
    expect(wire.peerName).toBeNull();
    reader.onChunk = (chunk, start, end) => void wire.write(chunk, start, end);
    const sent = patterned(3_000_000);
    const got = readBytes(peer, sent.length);
    for (let at = 0, size = 1; at < sent.length; at += size, size = (size * 5 + 3) % 70_001) peer.write(sent.subarray(at, at + size));
    expect((await got).equals(sent)).toBe(true);
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)("records go through the smallest buffers of the system, in pieces (%s)", async (version) => {
    const rig = await openRig(io, smallestBuffers(openListeners));
    cleanups.push(() => rig.close());
    const { wire, reader, peer } = await rig.connect();
    const [, secure] = await Promise.all([secured(wire, serverSide), handshake(peer, { minVersion: version, maxVersion: version })]);
    reader.onChunk = (chunk, start, end) => void wire.write(chunk, start, end);
    const sent = patterned(150_000);
    const got = readBytes(secure, sent.length);
    secure.write(sent);
    expect((await got).equals(sent)).toBe(true);
  });

  test("a client that stops reading congests its wire, and gets everything in the end", async () => {
    const { wire, reader, peer } = await securedPair();
    peer.pause();
    const block = patterned(60_000);
    let sentBytes = 0;
    do sentBytes += block.length;
    while (wire.write(block, 0, block.length));
    expect(wire.queuedBytes).toBeLessThan(400_000);
    const got = readBytes(peer, sentBytes);
    peer.resume();
    await reader.until(({ drains }) => drains === 1);
    const bytes = await got;
    for (let at = 0; at < sentBytes; at += block.length) expect(bytes.subarray(at, at + block.length).equals(block)).toBe(true);
  });

  test("pausing holds back what is decrypted already", async () => {
    const { wire, reader, peer } = await securedPair();
    reader.onChunk = () => wire.pause();
    const sent = patterned(400_000);
    peer.write(sent);
    while (reader.sizeBytes < sent.length) {
      const before = reader.chunks.length;
      await reader.until(({ chunks }) => chunks.length > before);
      await turns(2);
      expect(reader.chunks.length).toBe(before + 1);
      wire.resume();
    }
    expect(reader.bytes.equals(sent)).toBe(true);
  });

  test.each([false, true])("what was read ahead is not forgotten (paused on the way: %s)", async (pauses) => {
    const { wire, reader, peer } = await securedPair();
    let expectedBytes = 0;
    // Small records behind large ones may come out of the system along with them: nothing announces them later.
    for (const size of [9_840, 9_880, 9_920, 12_300]) {
      wire.pause();
      await turns(2);
      const large = size < 10_000 ? 5 : 4;
      for (let i = 0; i < large; i++) peer.write(patterned(size));
      for (let i = 0; i < 5; i++) peer.write(patterned(10));
      expectedBytes += large * size + 50;
      await turns(10);
      reader.onChunk = () => pauses && wire.pause();
      wire.resume();
      while (reader.sizeBytes < expectedBytes) {
        const before = reader.sizeBytes;
        await reader.until(({ sizeBytes }) => sizeBytes > before);
        await turns(2);
        wire.resume();
      }
    }
  });

  test("what was written before goes out in the clear, what comes after is encrypted", async () => {
    const rig = await rigOf();
    const { wire, peer } = await rig.connect();
    peer.pause();
    const clear = patterned(6_000_000);
    wire.write(clear, 0, clear.length);
    const onSecure = secured(wire, serverSide);
    peer.resume();
    expect((await readBytes(peer, clear.length)).equals(clear)).toBe(true);
    const [secure] = await Promise.all([handshake(peer), onSecure]);
    wire.write(Buffer.from("secret"), 0, 6);
    expect((await readBytes(secure, 6)).toString()).toBe("secret");
  });

  test("end() sends everything, and the close of TLS", async () => {
    const { wire, reader, peer } = await securedPair();
    peer.pause();
    const sent = patterned(5_000_000);
    wire.write(sent, 0, sent.length);
    wire.end();
    peer.resume();
    expect((await readAll(peer)).equals(sent)).toBe(true);
    expect(await reader.untilClosed()).toBeNull();
  });

  test("a client that closes is gone, after what it said", async () => {
    const { reader, peer } = await securedPair();
    peer.end("last words");
    expect(await reader.untilClosed()).toBeNull();
    expect(reader.text).toBe("last words");
    expect(reader.closings).toHaveLength(1);
  });

  test("what is no handshake closes the connection with a reason", async () => {
    const rig = await rigOf();
    const { wire, reader, peer } = await rig.connect();
    wire.startTls(serverSide, () => expect.unreachable());
    peer.write("this is no ClientHello at all, and long enough to tell");
    expect((await reader.untilClosed())?.message).toMatch(/wrong version number|http request|packet length too long/);
    expect(wire.tls).toBe(false);
    expect(reader.text).toBe("");
  });

  test.each(["reset", "close"])("a client that leaves during the handshake: %s", async (how) => {
    const rig = await rigOf();
    const { wire, reader, peer } = await rig.connect();
    wire.startTls(serverSide, () => expect.unreachable());
    await turns(2);
    if (how === "reset") peer.resetAndDestroy();
    else peer.destroy();
    await reader.untilClosed();
    expect(reader.closings).toHaveLength(1);
  });

  test.each(["idle", "paused", "with bytes queued", "while it is ended"])("a reset under TLS closes the wire: %s", async (state) => {
    const rig = await rigOf();
    const { wire, reader, peer } = await rig.connect();
    const [, secure] = await Promise.all([secured(wire, serverSide), handshake(peer)]);
    secure.on("error", () => {});
    if (state === "paused") wire.pause();
    if (state === "with bytes queued" || state === "while it is ended") {
      secure.pause();
      const block = patterned(100_000);
      while (wire.write(block, 0, block.length));
    }
    if (state === "while it is ended") wire.end();
    await turns(3);
    peer.resetAndDestroy();
    if (state === "paused") {
      await turns(3);
      wire.resume();
    }
    await reader.untilClosed();
    expect(reader.closings).toHaveLength(1);
    expect(wire.queuedBytes).toBe(0);
    const { wire: another } = await rig.connect();
    expect(another.tls).toBe(false);
  });

  test("nothing is said during the handshake, and ending it closes", async () => {
    const rig = await rigOf();
    const { wire, reader, peer } = await rig.connect();
    wire.startTls(serverSide, () => expect.unreachable());
    expect(wire.write(Buffer.from("clear"), 0, 5)).toBe(true);
    wire.end();
    expect((await readAll(peer)).length).toBe(0);
    await reader.untilClosed();
    expect(reader.closings).toHaveLength(1);
  });

  test("a client certificate is asked for, verified, and its common name known", async () => {
    const { wire } = await securedPair({ ...serverSide, clientCa: cert }, { cert, key });
    expect(wire.peerName).toBe("localhost");
  });

  test.each([
    ["none", {}],
    ["of another authority", { cert, key }],
  ])("a client certificate that is not accepted: %s", async (which, options) => {
    const rig = await rigOf();
    const { wire, reader, peer } = await rig.connect();
    wire.startTls({ ...serverSide, clientCa: which === "none" ? cert : otherCert }, () => expect.unreachable());
    void handshake(peer, options).then(
      (secure) => secure.on("error", () => {}),
      () => {},
    );
    expect((await reader.untilClosed())?.message).toMatch(/certificate/);
    expect(wire.peerName).toBeNull();
  });

  test("a certificate that cannot be read closes the connection, not the process", async () => {
    const rig = await rigOf();
    const { wire, reader } = await rig.connect();
    if (io === "streams") return; // Node throws: the configuration has been checked before
    wire.startTls({ ...serverSide, cert: "no PEM" }, () => expect.unreachable());
    expect((await reader.untilClosed())?.message).toMatch(/the certificate cannot be used/);
  });

  test("a server is spoken to under TLS, both ways", async () => {
    const { wire, reader, peer } = await dialed();
    await secured(wire, clientSide());
    const server = await peer;
    expect(server.servername).toBe("localhost");
    const sent = patterned(2_000_000);
    const got = readBytes(server, sent.length);
    wire.write(sent, 0, sent.length);
    expect((await got).equals(sent)).toBe(true);
    server.write(sent);
    await reader.until(({ sizeBytes }) => sizeBytes === sent.length);
    expect(reader.bytes.equals(sent)).toBe(true);
    server.end();
    expect(await reader.untilClosed()).toBeNull();
  });

  test("a server's certificate is verified by name and by address", async () => {
    for (const host of ["localhost", "127.0.0.1"]) {
      const { wire } = await dialed();
      await secured(wire, clientSide({ host }));
    }
  });

  test.each([
    ["another name", clientSide({ host: "wrong.example" }), /another name than wrong\.example|does not match/],
    ["another address", clientSide({ host: "127.0.0.2" }), /another name than 127\.0\.0\.2|does not match/],
    ["an unknown authority", clientSide({ ca: otherCert }), /self.signed certificate/],
    ["not one of the well-known authorities", clientSide({ ca: null }), /self.signed certificate/],
  ])("a server's certificate is refused: %s", async (_why, upgrade, words) => {
    const { wire, reader } = await dialed();
    wire.startTls(upgrade, () => expect.unreachable());
    expect((await reader.untilClosed())?.message).toMatch(words);
    expect(wire.tls).toBe(false);
  });

  test("without verification any certificate will do", async () => {
    const { wire } = await dialed();
    await secured(wire, clientSide({ host: "wrong.example", verify: false, ca: null }));
  });

  test("an old protocol is refused", async () => {
    const { wire, reader } = await dialed({ minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" });
    wire.startTls(clientSide({ verify: false }), () => expect.unreachable());
    expect(await reader.untilClosed()).not.toBeNull();
  });
});
