// What the commands say and where: answers on standard output, complaints on standard error. Knows nothing of commands.
import { hideInText, PoolerError } from "@pooler/core";

export interface Terminal {
  /** A whole line, or several. */
  out(text: string): void;
  err(text: string): void;
}

export function createTerminal(): Terminal {
  return {
    out: (text) => process.stdout.write(`${text}\n`),
    err: (text) => process.stderr.write(`${text}\n`),
  };
}

/** What was expected is said in words; only a bug shows its stack. */
export function reportError(terminal: Terminal, error: unknown): void {
  if (error instanceof PoolerError) {
    terminal.err(`error: ${hideInText(error.message)}`);
    if (error.detail !== undefined) terminal.err(`  ${hideInText(error.detail)}`);
    if (error.hint !== undefined) terminal.err(`hint: ${hideInText(error.hint)}`);
    return;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  terminal.err(`This is an error in the pooler itself; please report it.\n${hideInText(text)}`);
}
