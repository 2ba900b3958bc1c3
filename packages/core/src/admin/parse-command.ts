// Splits what was typed into words: no more grammar than the console needs.
import { PoolerError } from "../base/errors.js";

export interface Word {
  readonly text: string;
  /** Was in quotes: a name, never a keyword. */
  readonly quoted: boolean;
}

/** The words of the one command in `sql`; none when there is only space, comments or semicolons. */
export function parseCommand(sql: string): Word[] {
  const words: Word[] = [];
  let ended = false;
  let at = 0;
  while (at < sql.length) {
    const rest = sql.slice(at);
    const skipped = /^(?:[\s\0]+|--[^\n]*)/.exec(rest);
    if (skipped !== null) {
      at += skipped[0].length;
    } else if (rest.startsWith("/*")) {
      at += commentLength(rest);
    } else if (rest.startsWith(";")) {
      ended = words.length > 0;
      at += 1;
    } else {
      if (ended) throw new PoolerError("CONSOLE_COMMAND", "the console takes one command at a time");
      const [word, length] = readWord(rest);
      words.push(word);
      at += length;
    }
  }
  return words;
}

/** Comments nest, as in PostgreSQL. */
function commentLength(rest: string): number {
  let depth = 0;
  for (const mark of rest.matchAll(/\/\*|\*\//g)) {
    depth += mark[0] === "/*" ? 1 : -1;
    if (depth === 0) return mark.index + 2;
  }
  throw new PoolerError("CONSOLE_COMMAND", "a comment /* has no end");
}

function readWord(rest: string): [Word, number] {
  const quote = rest[0];
  if (quote !== '"' && quote !== "'") {
    const plain = /^(?:[^\s;'"=,\0]+|[=,])/.exec(rest)?.[0] ?? rest;
    return [{ text: plain, quoted: false }, plain.length];
  }
  const pattern = quote === '"' ? /^"((?:[^"]|"")*)"/ : /^'((?:[^']|'')*)'/;
  const quoted = pattern.exec(rest);
  if (quoted === null) throw new PoolerError("CONSOLE_COMMAND", `a quoted name has no end: ${rest.slice(0, 40)}`);
  return [{ text: (quoted[1] ?? "").replaceAll(quote + quote, quote), quoted: true }, quoted[0].length];
}
