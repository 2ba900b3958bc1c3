// A pooler whose clients share one server connection, and means to hold a statement up: it wants a lock that another session has.
import { connect } from "node:net";
import { backendKeyIn, errorIn } from "../harness/backend-message.js";
import type { WireClient } from "../harness/wire-client.js";
import { openConsole } from "../operations/support/console.js";
import { until } from "../operations/support/until.js";
import { greetingOf, oneTarget, type Rig, startRig, valueIn } from "../protocol/rig.js";

export type Counts = Readonly<Record<string, number>>;

export interface MultiplexRig extends Rig {
  /** SHOW MULTIPLEX of a database. */
  counts(database: string): Promise<Counts>;
  /** A session of PostgreSQL's own that has the lock; statements of lockQuery() wait for it until it is let go. */
  lock(key: number): Promise<{ letGo(): Promise<void> }>;
  /** Runs statements often enough for their kinds to be known as fast and small. */
  learn(database: string, ...statements: string[]): Promise<void>;
  /** Resolves when so many statements are in flight on shared servers. */
  untilInFlight(database: string, count: number): Promise<void>;
}

/** Takes a lock for its own transaction; `rest` tells the statements of several clients apart. */
export const lockQuery = (key: number, rest = "0"): string => `SELECT ${rest} FROM pg_advisory_xact_lock_shared(${key})`;

export const sharing = (more: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> =>
  oneTarget({
    pool_size: 1,
    multiplex: 4,
    multiplex_functions: ["pg_advisory_xact_lock_shared", "pg_sleep"],
    multiplex_slow: "10s",
    ...more,
  });

export async function startMultiplexRig(
  databases: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  timeouts: Readonly<Record<string, unknown>> = {},
): Promise<MultiplexRig> {
  const rig = await startRig({
    databases,
    timeouts,
    rest: { users: { app: { server_user: "postgres" }, other: { server_user: "other_rider" }, admin: { console: "admin" } } },
  });
  const console = await openConsole(rig.pooler);
  const counts = async (database: string): Promise<Counts> => {
    const row = (await console.run("SHOW MULTIPLEX")).find((each) => each["database"] === database) ?? {};
    return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)]));
  };
  return {
    ...rig,
    counts,
    async lock(key) {
      const holder = await rig.direct();
      await holder.query(`SELECT pg_advisory_lock(${key})`);
      return { letGo: async () => void (await holder.query(`SELECT pg_advisory_unlock(${key})`)) };
    },
    async learn(database, ...statements) {
      const client = await rig.client(database);
      for (const sql of statements) {
        // The first time its relations are looked up; three runs by itself make it known.
        for (let i = 0; i < 3; i++) await client.query(sql);
        await until("the kind to be known", async () => {
          const before = await counts(database);
          await client.query(sql);
          const after = await counts(database);
          const refused = (of: Counts): number =>
            Object.entries(of).reduce((sum, [name, count]) => sum + (name.startsWith("refused_") ? count : 0), 0);
          return refused(before) === refused(after);
        });
      }
      client.end();
    },
    untilInFlight: async (database, count) => {
      await until(`${count} statements in flight`, async () => (await counts(database))["in_flight"] === count);
    },
    stop: async () => {
      console.end();
      await rig.stop();
    },
  };
}

export const pidOf = (client: WireClient): Promise<string | null> => valueIn(client, "SELECT pg_backend_pid()");

/** "23505 message", or what else came. */
export function errorText(answer: Parameters<typeof errorIn>[0]): string {
  const error = errorIn(answer);
  return error === undefined ? answer.map(String).join(" ") : `${error["C"]} ${error["M"]}`;
}

/** Sends a cancel request for the client, on a connection of its own, and waits until that is closed. */
export function cancel(rig: Rig, client: WireClient): Promise<void> {
  const key = backendKeyIn(greetingOf(client));
  const request = Buffer.alloc(16);
  request.writeInt32BE(16, 0);
  request.writeInt32BE(80_877_102, 4);
  request.writeInt32BE(key?.processId ?? 0, 8);
  request.writeInt32BE(key?.secretKey ?? 0, 12);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port: rig.pooler.port }, () => socket.write(request));
    socket.on("error", reject);
    socket.on("close", () => resolve());
    socket.resume();
  });
}
