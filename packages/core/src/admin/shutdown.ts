// SHUTDOWN: as PgBouncer has it, at once, or after the transactions that are under way.
import { PoolerError } from "../base/errors.js";
import { type ConsoleCommand, done } from "./console-command.js";

export const shutdown: ConsoleCommand = {
  name: "SHUTDOWN",
  access: "admin",
  argument: "[WAIT_FOR_SERVERS]",
  summary: "Stops the pooler at once; with WAIT_FOR_SERVERS as SIGTERM does, after the transactions that are under way.",
  columns: [],
  async run(context, argument) {
    if (argument !== null && argument.toUpperCase() !== "WAIT_FOR_SERVERS") {
      throw new PoolerError("CONSOLE_COMMAND", `SHUTDOWN does not know "${argument}"`, { hint: "It is: SHUTDOWN [WAIT_FOR_SERVERS]" });
    }
    context.shutdown(argument === null ? "immediate" : "drain");
    return done("SHUTDOWN");
  },
};
