// RELOAD: read the configuration again, as SIGHUP does.
import { type ConsoleCommand, done } from "./console-command.js";

export const reload: ConsoleCommand = {
  name: "RELOAD",
  access: "admin",
  argument: null,
  summary: "Reads the configuration again; a file with errors changes nothing.",
  columns: [],
  async run(context) {
    const { applied, needRestart, restored } = await context.reload();
    const notices = [applied.length === 0 ? "nothing changed that a reload takes over" : `changed: ${applied.join(", ")}`];
    if (needRestart.length > 0) notices.push(`changed, but needs a restart: ${needRestart.join(", ")}`);
    if (restored.length > 0) notices.push(`in service again: ${restored.join(", ")}`);
    return done("RELOAD", notices);
  },
};
