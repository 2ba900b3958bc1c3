// PAUSE and RESUME: let server connections come to rest, so that servers can be restarted or moved.
import { PoolerError } from "../base/errors.js";
import type { PoolerView } from "../metrics/pooler-view.js";
import { type ConsoleCommand, done } from "./console-command.js";

export const pause: ConsoleCommand = {
  name: "PAUSE",
  access: "admin",
  argument: "[database]",
  summary: "New transactions wait; answers when no server connection (of that database) is in use any more.",
  columns: [],
  async run(context, database) {
    const view = await context.view(false);
    requireDatabase(view, database);
    if (view.paused.has(null) || view.paused.has(database)) throw wrongState(database, "is paused already");
    await context.pause(database);
    return done("PAUSE");
  },
};

export const resume: ConsoleCommand = {
  name: "RESUME",
  access: "admin",
  argument: "[database]",
  summary: "Ends PAUSE; without a name every pause, also those of single databases.",
  columns: [],
  async run(context, database) {
    const view = await context.view(false);
    requireDatabase(view, database);
    if (view.paused.size === 0 || (database !== null && !view.paused.has(database))) {
      throw wrongState(database, "is not paused", view.paused.has(null) ? "PAUSE was given without a name: so must be RESUME." : undefined);
    }
    await context.resume(database);
    return done("RESUME");
  },
};

function requireDatabase(view: PoolerView, database: string | null): void {
  if (database === null || view.config.databases.some(({ name }) => name === database) || view.paused.has(database)) return;
  throw new PoolerError("UNKNOWN_DATABASE", `there is no database "${database}"`, { hint: "SHOW DATABASES lists them." });
}

function wrongState(database: string | null, state: string, hint?: string): PoolerError {
  const what = database === null ? "the pooler" : `database "${database}"`;
  return new PoolerError("CONSOLE_COMMAND", `${what} ${state}`, { sqlstate: "55000", ...(hint === undefined ? {} : { hint }) });
}
