// The console: finds the command, checks who may run it, turns failures into answers. Knows nothing of the wire protocol.
import { PoolerError } from "../base/errors.js";
import type { ConsoleResult } from "../supervisor/ipc.js";
import { consoleCommands } from "./commands.js";
import { type ConsoleCommand, type ConsoleContext, done } from "./console-command.js";
import { parseCommand, type Word } from "./parse-command.js";

export interface Console {
  /** Never rejects. */
  run(user: string, admin: boolean, sql: string): Promise<ConsoleResult>;
}

export function createConsole(context: ConsoleContext): Console {
  return {
    async run(user, admin, sql) {
      try {
        return await execute(context, user, admin, sql);
      } catch (error) {
        return failure(context, error, sql);
      }
    },
  };
}

async function execute(context: ConsoleContext, user: string, admin: boolean, sql: string): Promise<ConsoleResult> {
  const words = parseCommand(sql);
  if (words.length === 0) return done("");
  // Drivers set client_encoding, extra_float_digits and the like when they connect: nothing of it matters here.
  if (isKeyword(words[0], "SET")) return done("SET");
  const found = findCommand(words);
  if (found === null) throw unknownCommand(words);
  const { command, rest } = found;
  const [argument] = rest;
  if (rest.length > (command.argument === null ? 0 : 1)) {
    throw new PoolerError("CONSOLE_COMMAND", `${command.name} does not take "${rest.at(-1)?.text ?? ""}"`, {
      hint: `It is: ${usage(command)}`,
    });
  }
  if (command.access === "admin") {
    if (!admin) {
      throw new PoolerError("AUTH_NOT_ALLOWED", `user "${user}" may not run ${command.name}`, {
        sqlstate: "42501",
        hint: 'It needs console = "admin" in the table of the user; SHOW commands need "stats".',
      });
    }
    context.logger.info(
      { event: "console", user, command: command.name, argument: argument?.text ?? null },
      `console: ${user} runs ${command.name}`,
    );
  }
  return await command.run(context, argument?.text ?? null);
}

function findCommand(words: readonly Word[]): { command: ConsoleCommand; rest: readonly Word[] } | null {
  for (const command of consoleCommands) {
    const names = command.name.split(" ");
    if (names.every((name, index) => isKeyword(words[index], name))) return { command, rest: words.slice(names.length) };
  }
  return null;
}

function isKeyword(word: Word | undefined, keyword: string): boolean {
  return word !== undefined && !word.quoted && word.text.toUpperCase() === keyword;
}

export function usage(command: ConsoleCommand): string {
  return command.argument === null ? command.name : `${command.name} ${command.argument}`;
}

function unknownCommand(words: readonly Word[]): PoolerError {
  const typed = words
    .slice(0, 4)
    .map((word) => word.text)
    .join(" ");
  const shows = consoleCommands.filter(({ name }) => name.startsWith("SHOW ")).map(({ name }) => name.slice("SHOW ".length));
  const others = consoleCommands.filter(({ name }) => !name.startsWith("SHOW ")).map(usage);
  return new PoolerError("CONSOLE_COMMAND", `the console does not know "${typed}"`, {
    hint: `It knows: SHOW {${shows.join(" | ")}}, ${others.join(", ")}.`,
  });
}

function failure(context: ConsoleContext, error: unknown, sql: string): ConsoleResult {
  if (error instanceof PoolerError) return { ok: false, sqlstate: error.sqlstate, message: error.message, hint: error.hint ?? null };
  context.logger.error({ event: "console error", sql, error }, "a console command failed");
  return { ok: false, sqlstate: "XX000", message: "the command failed inside the pooler, its log says why", hint: null };
}
