// What happens to a pooler in the course of a day, one thing after the other: servers that are stopped, killed and restarted, connections
// that are terminated, reloads, pauses.
import { type PostgresHost, query } from "@pooler/embedded-cluster";
import type { Pooler } from "../harness/pooler.js";
import type { Console } from "../operations/support/console.js";

export interface Disturbed {
  readonly pooler: Pooler;
  readonly console: Console;
  /** Restarted only while its database is paused: whoever asks it loses nothing. */
  readonly calm: PostgresHost;
  readonly calmDatabase: string;
  /** Goes away at any time. */
  readonly rough: PostgresHost;
}

export interface Disturbance {
  readonly name: string;
  run(on: Disturbed): Promise<void>;
}

export const disturbances: readonly Disturbance[] = [
  {
    name: "server restarted",
    async run({ rough }) {
      await rough.stop("fast");
      await rough.start();
    },
  },
  {
    name: "PAUSE, restart, RESUME",
    async run({ console, calm, calmDatabase }) {
      await console.run(`PAUSE ${calmDatabase}`);
      await calm.stop("fast");
      await calm.start();
      await console.run(`RESUME ${calmDatabase}`);
    },
  },
  {
    name: "server killed",
    async run({ rough }) {
      await rough.kill();
      await rough.start();
    },
  },
  { name: "RELOAD", run: async ({ console }) => void (await console.run("RELOAD")) },
  {
    name: "connections terminated",
    run: async ({ rough }) =>
      void (await query(
        rough.url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid % 2 = 0 AND pid <> pg_backend_pid()",
      )),
  },
];
