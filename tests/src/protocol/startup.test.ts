// The first packets of a client: what it asks for, and what it may not.
import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { backendKeyIn, createFrameSplitter, errorIn, parameterStatuses, typesOf } from "../harness/backend-message.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";
import { greetingOf, oneTarget, type Rig, settingsOf, startRig, twoShards, valueIn } from "./rig.js";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ databases: { one: oneTarget({ pool_size: 2 }), two: twoShards(), session: oneTarget({ pool_mode: "session" }) } });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

/** A startup packet with exactly these parameters. */
function startup(parameters: Readonly<Record<string, string>>, code = 196_608): Buffer {
  const body = Object.entries(parameters)
    .map(([name, value]) => `${name}\0${value}\0`)
    .join("");
  const rest = Buffer.concat([int32(code), Buffer.from(`${body}\0`)]);
  return Buffer.concat([int32(rest.length + 4), rest]);
}

const request = (code: number): Buffer => Buffer.concat([int32(8), int32(code)]);
const ssl = request(80_877_103);
const gssenc = request(80_877_104);

async function login(parameters: Readonly<Record<string, string>>): Promise<WireClient> {
  const client = await connectWire({ port: rig.pooler.port });
  client.send(startup({ user: "app", database: "one", ...parameters }));
  await client.until("Z");
  return client;
}

/** Everything that comes back until the other side closes. */
function answerTo(...parts: readonly Uint8Array[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ host: "127.0.0.1", port: rig.pooler.port });
    const chunks: Buffer[] = [];
    socket.on("connect", () => socket.write(Buffer.concat(parts)));
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", reject);
    socket.on("close", () => resolve(Buffer.concat(chunks)));
  });
}

/** The fields of the ErrorResponse that `bytes` end with. */
function errorOf(bytes: Buffer): Readonly<Record<string, string>> {
  const found = createFrameSplitter().push(bytes);
  expect(typesOf(found)).toMatch(/^R?E$/);
  return errorIn(found) ?? {};
}

async function works(): Promise<void> {
  const client = await rig.client("one");
  expect(await valueIn(client, "SELECT 'well'")).toBe("well");
}

describe("parameters", () => {
  test.each(["one", "two", "session"])("the greeting is what PostgreSQL's is (%s)", async (database) => {
    const [client, direct] = await Promise.all([rig.client(database), rig.direct()]);
    expect(typesOf(greetingOf(client)).replaceAll("S", "")).toBe("RKZ");
    const own = { session_authorization: expect.any(String), application_name: "" };
    expect(parameterStatuses(greetingOf(client))).toEqual({ ...parameterStatuses(greetingOf(direct)), ...own });
    expect(backendKeyIn(greetingOf(client))?.processId).not.toBe(0);
  });

  test.each([
    ["application_name", "my app", "application_name", "my app"],
    ["TimeZone", "Europe/Rome", "TimeZone", "Europe/Rome"],
    ["timezone", "Europe/Rome", "TimeZone", "Europe/Rome"],
    ["client_encoding", "LATIN1", "client_encoding", "LATIN1"],
    ["DateStyle", "SQL, DMY", "DateStyle", "SQL, DMY"],
    ["extra_float_digits", "-3", "extra_float_digits", "-3"],
    ["search_path", 'pg_catalog, "Quoted, name", public', "search_path", 'pg_catalog, "Quoted, name", public'],
    ["search_path", "a,b", "search_path", "a,b"],
    ["work_mem", "3MB", "work_mem", "3MB"],
    ["app.tenant", "it's \\ one", "app.tenant", "it's \\ one"],
    ["statement_timeout", "12s", "statement_timeout", "12s"],
    ["options", "-c work_mem=3MB", "work_mem", "3MB"],
    ["options", "-csearch_path=a,b --enable_sort=off", "search_path", "a,b"],
    ["options", "-c search_path=a,b --enable-sort=off", "enable_sort", "off"],
    ["options", "-c application_name=two\\ words\\\\x", "application_name", "two words\\x"],
    ["options", "  -c  work_mem=3MB\t-c app.x=1 ", "app.x", "1"],
  ])("%s = %s is the server's setting, everywhere, and RESET goes back to it", async (parameter, value, name, shown) => {
    const client = await login({ [parameter]: value });
    const other = await rig.client("one");
    for (let round = 0; round < 2; round++) {
      expect(await valueIn(client, `SHOW ${name}`)).toBe(shown);
      await other.query("BEGIN; SELECT 1");
    }
    await client.query(`SET ${name} TO DEFAULT`);
    expect(await valueIn(client, `SHOW ${name}`)).toBe(shown);
    await client.query("DISCARD ALL");
    expect(await valueIn(client, `SHOW ${name}`)).toBe(shown);
    client.end();
    await client.closed;
    expect(await settingsOf(await rig.client("one"))).toEqual([]);
  });

  test("what the client asked for is what its greeting reports", async () => {
    const client = await connectWire({ port: rig.pooler.port });
    client.send(startup({ user: "app", database: "one", application_name: "me", TimeZone: "Europe/Rome", options: "-c datestyle=German" }));
    expect(parameterStatuses(await client.until("Z"))).toMatchObject({ application_name: "me", TimeZone: "Europe/Rome" });
    expect(await valueIn(client, "SELECT DATE '2020-01-02'")).toBe("02.01.2020");
  });

  test("a value that PostgreSQL does not take: every statement says so", async () => {
    const client = await login({ work_mem: "nonsense" });
    expect(errorIn(await client.query("SELECT 1"))).toMatchObject({ C: "22023", M: expect.stringContaining('"work_mem"') });
    await works();
  });

  test.each([
    ["options", "-x", "0A000", '"-x"'],
    ["options", "-c nothing", "08P01", '"nothing"'],
    ["replication", "true", "0A000", "replication"],
    ["replication", "database", "0A000", "replication"],
  ])("%s = %s is refused", async (name, value, sqlstate, text) => {
    const error = errorOf(await answerTo(startup({ user: "app", database: "one", [name]: value })));
    expect(error).toMatchObject({ S: "FATAL", C: sqlstate, M: expect.stringContaining(text) });
  });

  test("the database is the user's name when none is given", async () => {
    expect(errorOf(await answerTo(startup({ user: "app" })))).toMatchObject({ S: "FATAL", C: "3D000", M: 'database "app" does not exist' });
  });

  test("an unknown database, an unknown user, none at all", async () => {
    expect(errorOf(await answerTo(startup({ user: "app", database: "nope" })))).toMatchObject({ C: "3D000" });
    expect(errorOf(await answerTo(startup({ user: "nobody", database: "one" })))).toMatchObject({ S: "FATAL", C: "28P01" });
    expect(errorOf(await answerTo(startup({ database: "one" })))).toMatchObject({ S: "FATAL", C: "28000" });
  });

  test("a newer minor version and options of a newer protocol: it is told what there is, and goes on", async () => {
    const client = await connectWire({ port: rig.pooler.port });
    client.send(startup({ user: "app", database: "one", "_pq_.shiny": "1", work_mem: "3MB" }, 196_610));
    const greeting = await client.until("Z");
    expect(greeting[0]?.type).toBe("v");
    expect(greeting[0]?.body.toString("latin1")).toBe("\0\0\0\0\0\0\0\x01_pq_.shiny\0");
    expect(await valueIn(client, "SHOW work_mem")).toBe("3MB");
  });

  test("queries that are sent together with the startup packet are answered", async () => {
    const client = await connectWire({ port: rig.pooler.port });
    client.send(startup({ user: "app", database: "one" }), messages.query("SELECT 1"), messages.query("SELECT 2"));
    for (const ends of ["R", "TDCZ", "TDCZ"]) expect(typesOf(await client.until("Z"))).toContain(ends);
  });
});

describe("packets that cannot be", () => {
  const whole = startup({ user: "app", database: "one" });

  test.each([
    ["a startup packet that is too long", Buffer.concat([int32(10_001), Buffer.alloc(100)]), "08P01", "at most 10000"],
    ["a negative length", int32(-1), "08P01", "invalid length of startup packet"],
    ["a length that holds no code", int32(7), "08P01", "invalid length of startup packet"],
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n"), "08P01", "invalid length of startup packet"],
    ["TLS without SSLRequest", Buffer.from("160301020001000001fc0303", "hex"), "08P01", "invalid length of startup packet"],
    ["protocol 2", startup({ user: "app" }, 131_072), "0A000", "unsupported frontend protocol 2.0"],
    ["no parameters and no end", Buffer.concat([int32(8), int32(196_608)]), "08P01", "expected terminator"],
    [
      "a name without a value",
      Buffer.concat([int32(14), int32(196_608), Buffer.from("user\0\0")]),
      "08P01",
      "invalid startup packet layout",
    ],
    ["a value without an end", Buffer.concat([int32(16), int32(196_608), Buffer.from("user\0app")]), "08P01", "cut off"],
    ["bytes behind the end", Buffer.concat([int32(21), int32(196_608), Buffer.from("user\0app\0\0xxx")]), "08P01", "expected terminator"],
    ["a cancel request of another length", Buffer.concat([int32(12), int32(80_877_102), int32(1)]), "08P01", "cancel request"],
    ["data right behind SSLRequest", Buffer.concat([ssl, whole]), "08P01", "unencrypted data after SSL request"],
    ["data right behind GSSENCRequest", Buffer.concat([gssenc, whole]), "08P01", "unencrypted data after GSSAPI"],
    ["a Query where a startup packet should be", messages.query("SELECT 1"), "08P01", "invalid length of startup packet"],
  ])("%s: the client is told and closed, nobody else", async (_, bytes, sqlstate, text) => {
    expect(errorOf(await answerTo(bytes))).toMatchObject({ S: "FATAL", C: sqlstate, M: expect.stringContaining(text) });
    await works();
  });

  test("one byte at a time is fine, and a client that leaves anywhere in between harms nobody", async () => {
    const client = await connectWire({ port: rig.pooler.port });
    for (const byte of whole) client.send(Buffer.from([byte]));
    await client.until("Z");
    for (let length = 0; length < whole.length; length += 3) {
      const leaving = await connectWire({ port: rig.pooler.port });
      leaving.send(whole.subarray(0, length));
      leaving.end();
      await leaving.closed;
    }
    await works();
  });

  test("SSLRequest and GSSENCRequest, once each, are answered with N, and the startup goes on", async () => {
    const answers: string[] = [];
    const socket = connect({ host: "127.0.0.1", port: rig.pooler.port });
    const next = (): Promise<Buffer> => new Promise((resolve) => socket.once("data", resolve));
    for (const bytes of [gssenc, ssl]) {
      socket.write(bytes);
      answers.push((await next()).toString("latin1"));
    }
    socket.write(whole);
    answers.push(String.fromCharCode((await next())[0] ?? 0));
    expect(answers).toEqual(["N", "N", "R"]);
    socket.destroy();
  });

  test.each([
    ["SSLRequest", ssl],
    ["GSSENCRequest", gssenc],
  ])("%s twice is refused", async (_, bytes) => {
    const socket = connect({ host: "127.0.0.1", port: rig.pooler.port });
    const next = (): Promise<Buffer> => new Promise((resolve) => socket.once("data", resolve));
    socket.write(bytes);
    expect((await next()).toString("latin1")).toBe("N");
    socket.write(bytes);
    expect(errorOf(await next())).toMatchObject({ S: "FATAL", C: "08P01", M: expect.stringContaining("twice") });
    await new Promise((resolve) => socket.once("close", resolve));
    await works();
  });
});
