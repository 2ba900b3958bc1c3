// Servers that break the protocol, on purpose or because they are none. Whatever they do costs their own connection and nothing else.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorIn, rowsOf, transactionState } from "../harness/backend-message.js";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";
import { type FakeConnection, type FakeServer, type FakeServerOptions, fake, message, startFakeServer } from "./support/fake-server.js";
import { connectRaw } from "./support/raw-socket.js";
import { until } from "./support/until.js";

const length = (bytes: number): Buffer => {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(bytes);
  return buffer;
};

/** The pooler of a test file's part, in front of one played server a case. */
interface Stage {
  readonly pooler: Pooler;
  /** In the order of the cases; each is a database "case0", "case1" … of its own. */
  readonly servers: readonly FakeServer[];
  close(): Promise<void>;
}

async function startStage(cases: readonly FakeServerOptions[]): Promise<Stage> {
  const servers = await Promise.all(cases.map(startFakeServer));
  const databases = Object.fromEntries(servers.map(({ url }, index) => [`case${index}`, { url, pool_size: 1 }]));
  const pooler = await startPooler({
    config: {
      listen: { auth: "trust" },
      timeouts: { server_connect: "400ms", host_retry: "50ms" },
      databases,
      users: { app: {} },
    },
  });
  return {
    pooler,
    servers,
    async close() {
      const code = await pooler.stop();
      await Promise.all(servers.map((server) => server.close()));
      expect(code).toBe(0);
    },
  };
}

/** A server that answers every query but those of the pooler itself. */
const onQuery = (answer: (connection: FakeConnection, sql: string) => void): FakeServerOptions => ({
  onData(connection, data) {
    const sql = data.toString("utf8", 5, data.length - 1);
    if (data[0] !== 0x51) return;
    if (/set_config|^(SET|RESET|ROLLBACK|DISCARD)/.test(sql)) connection.write(fake.complete("SET"), fake.ready());
    else answer(connection, sql);
  },
});

async function login(pooler: Pooler, index: number): Promise<WireClient> {
  const client = await connectWire({ port: pooler.port });
  await client.login({ user: "app", database: `case${index}` });
  return client;
}

/** What a client is told that cannot be greeted. */
async function refusal(pooler: Pooler, index: number): Promise<Readonly<Record<string, string>> | undefined> {
  const client = await connectWire({ port: pooler.port });
  client.send(messages.startup({ user: "app", database: `case${index}` }));
  const answer = await client.until("E");
  await client.closed;
  return errorIn(answer);
}

describe("before the server is ready", () => {
  const cases: readonly (readonly [string, (connection: FakeConnection) => void, string])[] = [
    [
      "a greeting without end",
      ({ socket, write }) => {
        write(fake.authenticationOk);
        const flood = (): void => {
          for (let i = 0; i < 50 && !socket.destroyed; i++) write(fake.parameterStatus(`name_${i}`, "x".repeat(50_000)));
          if (!socket.destroyed) setImmediate(flood);
        };
        flood();
      },
      "before it was ready",
    ],
    ["a length of 3", ({ write }) => write(Buffer.from("R"), length(3)), "a message with the length 3"],
    ["a length of a gigabyte", ({ write }) => write(Buffer.from("R"), length(0x40000000)), "a message with the length 1073741824"],
    ["an Authentication without a body", ({ write }) => write(message("R")), 'an unexpected message "R"'],
    ["ReadyForQuery before it has let us in", ({ write }) => write(fake.ready()), 'an unexpected message "Z"'],
    ["a row", ({ write }) => write(fake.authenticationOk, fake.row(Buffer.from("x"))), 'an unexpected message "D"'],
    ["something else altogether", ({ write }) => write(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")), "a message with the length"],
    ["nothing", () => {}, "did not finish its handshake within 400 ms"],
    ["FIN", ({ socket }) => void socket.end(), "closed the connection during its handshake"],
    ["RST", ({ socket }) => void socket.resetAndDestroy(), "closed the connection during its handshake"],
    [
      "its refusal",
      ({ write }) => write(fake.error("FATAL", "53300", "sorry, too many clients already")),
      "sorry, too many clients already",
    ],
  ];
  const healed = new Set<number>();
  let stage: Stage;

  beforeAll(async () => {
    stage = await startStage(
      cases.map(([, answer], index) => ({
        onStartup: (connection) => (healed.has(index) ? connection.write(fake.greeting) : answer(connection)),
      })),
    );
  });

  afterAll(() => stage.close());

  test.each(cases.map(([what, , words], index) => [what, index, words] as const))(
    "%s: the client is told, and a server that is all right again is used",
    async (_what, index, words) => {
      expect(await refusal(stage.pooler, index)).toMatchObject({ S: "FATAL", C: "08006", M: expect.stringContaining(words) });
      await until("the pooler to hang up", () => stage.servers[index]?.connections.every(({ socket }) => socket.destroyed));
      healed.add(index);
      const client = await until("a login", () => login(stage.pooler, index).catch(() => null));
      client.end();
    },
  );
});

describe("while nobody asks it anything", () => {
  const cases: readonly (readonly [string, Buffer])[] = [
    ["ReadyForQuery", fake.ready()],
    ["a row", fake.row(Buffer.from("x"))],
    ["CommandComplete", fake.complete("SELECT 1")],
    ["a wish for COPY data", message("G", Buffer.from([0, 0, 0]))],
    ["another Authentication", fake.authenticationOk],
    ["a ReadyForQuery of the wrong size", message("Z", Buffer.from("II"))],
    ["a message type that does not exist", message("!")],
    ["a length of 0", Buffer.concat([Buffer.from("S"), length(0)])],
    ["a FATAL error", fake.error("FATAL", "57P05", "terminating connection due to idle-session timeout")],
  ];
  const answering = onQuery(({ write }) =>
    write(fake.rowDescription("a"), fake.row(Buffer.from("yes")), fake.complete("SELECT 1"), fake.ready()),
  );
  let stage: Stage;

  beforeAll(async () => {
    stage = await startStage([...cases.map(() => answering), answering]);
  });

  afterAll(() => stage.close());

  test.each(cases.map(([what, bytes], index) => [what, index, bytes] as const))(
    "%s costs the server its connection, and no client notices",
    async (_what, index, bytes) => {
      const client = await login(stage.pooler, index);
      const server = stage.servers[index] as FakeServer;
      server.connections[0]?.write(bytes);
      await until("the pooler to hang up", () => server.connections[0]?.socket.destroyed);
      expect(rowsOf(await client.query("SELECT 1"))).toEqual([["yes"]]);
      expect(server.connections).toHaveLength(2);
      client.end();
    },
  );

  test("notices and settings are no offence", async () => {
    const client = await login(stage.pooler, cases.length);
    const server = stage.servers[cases.length] as FakeServer;
    for (let i = 0; i < 1000; i++) server.connections[0]?.write(fake.notice("look"), fake.parameterStatus("TimeZone", "UTC"));
    expect((await client.query("SELECT 1")).map(({ type }) => type).join("")).toBe("TDCZ");
    expect(server.connections).toHaveLength(1);
    client.end();
  });
});

describe("in the middle of an answer", () => {
  const cases: readonly (readonly [string, Buffer])[] = [
    ["a length of 3", Buffer.concat([Buffer.from("D"), length(3)])],
    ["a negative length", Buffer.concat([Buffer.from("D"), length(-1)])],
    ["a length above a gigabyte", Buffer.concat([Buffer.from("D"), length(0x40000000)])],
    ["a ReadyForQuery without a status", Buffer.concat([Buffer.from("Z"), length(4)])],
    ["an Authentication", fake.authenticationOk],
    ["a BackendKeyData", fake.backendKey],
    ["a message type that does not exist", message("!")],
  ];
  const row = fake.row(Buffer.alloc(1000, "a"));
  const notice = fake.notice("n".repeat(10_000));
  const notices = 10_000;
  let sentNotices = 0;
  const others = {
    withinRow: onQuery(({ write, socket }) => {
      write(fake.rowDescription("a"), row, row.subarray(0, 500));
      socket.end();
    }),
    betweenRows: onQuery(({ write, socket }, sql) => {
      if (sql === "fine") return write(fake.complete("SELECT 0"), fake.ready());
      write(fake.rowDescription("a"), fake.row(Buffer.from("1")));
      socket.end();
    }),
    // Two answers to one question, in one write.
    twice: onQuery(({ write }, sql) => {
      const answer = [fake.rowDescription("a"), fake.row(Buffer.from(sql)), fake.complete("SELECT 1"), fake.ready()];
      write(...answer, ...answer);
    }),
    flood: onQuery(({ write, socket }) => {
      const flood = (): void => {
        while (sentNotices < notices) {
          sentNotices++;
          if (socket.write(notice)) continue;
          socket.once("drain", flood);
          return;
        }
        write(fake.complete("SELECT 0"), fake.ready());
      };
      flood();
    }),
  };
  const indexOf = (name: keyof typeof others): number => cases.length + Object.keys(others).indexOf(name);
  let stage: Stage;

  beforeAll(async () => {
    const lying = cases.map(([, bytes]) =>
      onQuery(({ write }, sql) => {
        if (sql === "fine") write(fake.complete("SELECT 0"), fake.ready());
        else write(fake.rowDescription("a"), bytes);
      }),
    );
    stage = await startStage([...lying, ...Object.values(others)]);
  });

  afterAll(() => stage.close());

  test.each(cases.map(([what], index) => [what, index] as const))(
    "%s: the statement fails, the connection to the server is closed, the client stays",
    async (_what, index) => {
      const client = await login(stage.pooler, index);
      const answer = await client.query("SELECT a");
      expect(errorIn(answer)).toMatchObject({ S: "ERROR", C: "08006" });
      expect(transactionState(answer.at(-1) as never)).toBe("I");
      expect(errorIn(await client.query("fine"))).toBeUndefined();
      await until("the pooler to hang up", () => stage.servers[index]?.connections[0]?.socket.destroyed);
      client.end();
    },
  );

  test("it closes within a row: the client has the beginning of it, so its connection is closed without another byte", async () => {
    const raw = await connectRaw(stage.pooler.port);
    raw.send(messages.startup({ user: "app", database: `case${indexOf("withinRow")}` }));
    const hello = await until("the login", async () => {
      const bytes = await raw.received(1);
      return bytes.includes(fake.ready()) ? bytes : null;
    });
    raw.send(messages.query("SELECT a"));
    expect((await raw.closed).subarray(hello.length)).toEqual(Buffer.concat([fake.rowDescription("a"), row, row.subarray(0, 500)]));
  });

  test("it closes between rows: the statement fails, the client stays", async () => {
    const client = await login(stage.pooler, indexOf("betweenRows"));
    const answer = await client.query("SELECT a");
    expect(rowsOf(answer)).toEqual([["1"]]);
    expect(errorIn(answer)).toMatchObject({ S: "ERROR", C: "08006", M: "server closed the connection unexpectedly" });
    expect(transactionState(answer.at(-1) as never)).toBe("I");
    expect(errorIn(await client.query("fine"))).toBeUndefined();
    client.end();
  });

  test("more than was asked for reaches nobody else", async () => {
    const index = indexOf("twice");
    const [one, two] = [await login(stage.pooler, index), await login(stage.pooler, index)];
    const answers = await Promise.all([one.query("one"), two.query("two")]);
    expect(answers.map((answer) => rowsOf(answer).flat())).toEqual([["one"], ["two"]]);
    await until("the pooler to hang up", () => stage.servers[index]?.connections[0]?.socket.destroyed);
    one.end();
    two.end();
  });

  test("a flood of notices waits for a client that reads slowly", async () => {
    const client = await login(stage.pooler, indexOf("flood"));
    client.pause();
    client.send(messages.query("SELECT a"));
    let last = -1;
    await until("the flood to come to a stop", async () => {
      if (sentNotices > 0 && sentNotices === last) return true;
      last = sentNotices;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return false;
    });
    expect(sentNotices).toBeLessThan(notices / 2);
    client.resume();
    expect((await client.until("Z")).filter(({ type }) => type === "N")).toHaveLength(notices);
    client.end();
  });
});
