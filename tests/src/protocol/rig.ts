// One pooler for a test file in front of the shared cluster, and wire clients that are logged in at it or, past it, at PostgreSQL.
import { type BackendMessage, columnsOf, parameterTypesOf, rowsOf } from "../harness/backend-message.js";
import { type Pooler, type PoolerToml, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, type WireClient } from "../harness/wire-client.js";

type Toml = Readonly<Record<string, unknown>>;

export interface RigOptions {
  /** By name; `url` or `shards` are added by oneTarget() and twoShards(). */
  readonly databases: Readonly<Record<string, Toml>>;
  readonly limits?: Toml;
  readonly timeouts?: Toml;
  readonly rest?: PoolerToml;
}

export interface Rig {
  readonly pooler: Pooler;
  /** A client of the pooler that is logged in. */
  client(database: string, parameters?: Readonly<Record<string, string>>): Promise<WireClient>;
  /** A client of the first shard's primary itself. */
  direct(): Promise<WireClient>;
  /** For afterEach(): clients are gone when the next test begins, whatever became of this one. */
  disconnectAll(): Promise<void>;
  stop(): Promise<void>;
}

/** A database with one server: nothing is held, nothing is routed. */
export const oneTarget = (more: Toml = {}): Toml => ({ url: sharedShards()[0]?.primary, pool_size: 1, ...more });

/** Two shards with replicas: BEGIN is held until a statement says where it goes. */
export const twoShards = (more: Toml = {}): Toml => ({ shards: sharedShards(), pool_size: 1, ...more });

export async function startRig({ databases, limits = {}, timeouts = {}, rest = {} }: RigOptions): Promise<Rig> {
  const pooler = await startPooler({
    config: {
      io: process.env["POOLER_TEST_IO"] ?? "auto",
      listen: { auth: "trust" },
      users: { app: { server_user: "postgres" } },
      databases,
      limits,
      timeouts,
      ...rest,
    },
  });
  const open = new Set<WireClient>();
  const connect = async (port: number, parameters: Readonly<Record<string, string>>): Promise<WireClient> => {
    const client = await connectWire({ port });
    open.add(client);
    const greeting = await client.login(parameters);
    greetings.set(client, greeting);
    return client;
  };
  return {
    pooler,
    client: (database, parameters = {}) => connect(pooler.port, { user: "app", database, ...parameters }),
    direct: () => connect(Number(new URL(sharedShards()[0]?.primary ?? "").port), { user: "postgres", database: "app" }),
    disconnectAll: async () => {
      for (const client of open) client.reset();
      await Promise.all([...open].map(({ closed }) => closed));
      open.clear();
    },
    stop: async () => {
      await pooler.stop();
    },
  };
}

const greetings = new WeakMap<WireClient, readonly BackendMessage[]>();

/** What a client of the rig was sent up to its first ReadyForQuery. */
export function greetingOf(client: WireClient): readonly BackendMessage[] {
  return greetings.get(client) ?? [];
}

/** The only value of a simple query's only row. */
export async function valueIn(client: WireClient, sql: string): Promise<string | null> {
  const answer = await client.query(sql);
  const value = rowsOf(answer)[0]?.[0];
  if (value === undefined) throw new Error(`${sql} answered no row: ${answer.map(String).join(" ")}`);
  return value;
}

/** A conversation in short: "1 2 T(?column?:23) D(1) C(SELECT 1) Z(I)". */
export function shortly(messages: readonly BackendMessage[]): string {
  return messages.map(inShort).join(" ");
}

function inShort(message: BackendMessage): string {
  switch (message.type) {
    case "T":
      return `T(${columnsOf(message)
        .map(({ name, typeOid, format }) => `${name}:${typeOid}${format === 0 ? "" : ":binary"}`)
        .join(", ")})`;
    case "t":
      return `t(${parameterTypesOf(message).join(", ")})`;
    default:
      return String(message);
  }
}

/** What is sent in one write, then the types of the messages that are waited for, one after the other. */
export type Step = readonly [waitFor: string, ...send: Uint8Array[]];

/** Sends each step when the one before was answered. The answers in short, one line a step. */
export async function converse(client: WireClient, steps: readonly Step[]): Promise<string[]> {
  const answers: string[] = [];
  for (const [waitFor, ...send] of steps) {
    client.send(...send);
    const answer: BackendMessage[] = [];
    for (const type of waitFor) answer.push(...(await client.until(type)));
    answers.push(shortly(answer));
  }
  return answers;
}

/** What the server's session was told to set, "name=value" each, without what every client brings along and what every transaction sets. */
export async function settingsOf(client: WireClient): Promise<string[]> {
  const answer = await client.query(
    "SELECT name || '=' || setting FROM pg_settings WHERE source = 'session' AND name <> 'client_encoding' AND name !~ '^transaction_'",
  );
  return rowsOf(answer).map(([setting]) => setting ?? "");
}

/** Waits, with PostgreSQL's own means, until some backend's query that begins with `text` is in `state`. */
export async function untilRunning(rig: Rig, text: string, isRunning = true): Promise<void> {
  const direct = await rig.direct();
  await direct.query(
    `DO $$ BEGIN
       FOR i IN 1..2000 LOOP
         PERFORM pg_stat_clear_snapshot();
         EXIT WHEN ${isRunning ? "" : "NOT "}EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active' AND starts_with(query, '${text.replaceAll("'", "''")}'));
         PERFORM pg_sleep(0.005);
         IF i = 2000 THEN RAISE 'it never came'; END IF;
       END LOOP;
     END $$`,
  );
}
