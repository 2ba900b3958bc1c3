// The tokens of one short statement as strings, for the parsers of transaction and session statements.
// Not for the hot path: it allocates. Follows the same lexical rules as the lexer.

export interface Token {
  /** word: unquoted, folded to lower case; name: quoted; symbol: one character (`$1` and operators come apart) */
  readonly kind: "word" | "name" | "string" | "number" | "symbol";
  /** Folded word, name or string without quotes and escapes, number as written. */
  readonly value: string;
  /** Where it stands in the text, in UTF-16 units. */
  readonly start: number;
  readonly end: number;
}

const BLANK = /(?:[ \t\n\r\f\v]+|--[^\n\r]*)+/y;
const LINE_BREAK = /[\n\r]/;
const WORD = /[A-Za-z_\u0080-\u{10ffff}][A-Za-z0-9_$\u0080-\u{10ffff}]*/uy;
const NUMBER = /(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?|0[xXoObB][0-9a-fA-F_]+/y;
const DOLLAR_TAG = /\$(?:[A-Za-z_\u0080-\u{10ffff}][A-Za-z0-9_\u0080-\u{10ffff}]*)?\$/uy;

function match(pattern: RegExp, text: string, at: number): string | null {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? null;
}

/** Folds as PostgreSQL does an unquoted name: ASCII letters only. */
export function foldName(name: string): string {
  return name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

const NAME_BYTES = 63;

/** Cuts a name as PostgreSQL does (NAMEDATALEN), never within a character. */
export function truncateName(name: string): string {
  if (name.length * 3 <= NAME_BYTES) return name;
  let bytes = 0;
  let kept = "";
  for (const character of name) {
    bytes += Buffer.byteLength(character);
    if (bytes > NAME_BYTES) break;
    kept += character;
  }
  return kept;
}

/** All tokens, without semicolons at the end; null when a string, name or comment does not end. */
export function tokenize(text: string, standardStrings = true): readonly Token[] | null {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const blank = match(BLANK, text, at);
    if (blank !== null) {
      at += blank.length;
      continue;
    }
    if (text.startsWith("/*", at)) {
      at = behindComment(text, at);
      if (at < 0) return null;
      continue;
    }
    const token = tokenAt(text, at, standardStrings);
    if (token === null) return null;
    tokens.push(token);
    at = token.end;
  }
  while (tokens.at(-1)?.value === ";" && tokens.at(-1)?.kind === "symbol") tokens.pop();
  return tokens;
}

function behindComment(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length - 1; at++) {
    if (text.startsWith("/*", at)) {
      depth++;
      at++;
    } else if (text.startsWith("*/", at)) {
      at++;
      if (--depth === 0) return at + 1;
    }
  }
  return -1;
}

function tokenAt(text: string, at: number, standardStrings: boolean): Token | null {
  const first = text.charAt(at);
  if (first === "'") return stringAt(text, at, at, standardStrings ? "plain" : "escapes");
  if (first === '"') return nameAt(text, at, at, false);
  const prefix = first.toLowerCase();
  const second = text.charAt(at + 1);
  if (second === "'" && prefix === "e") return stringAt(text, at, at + 1, "escapes");
  if (second === "'" && prefix === "n") return stringAt(text, at, at + 1, standardStrings ? "plain" : "escapes");
  if (second === "'" && (prefix === "b" || prefix === "x")) return stringAt(text, at, at + 1, "plain");
  if (prefix === "u" && second === "&") {
    if (text.charAt(at + 2) === "'") return stringAt(text, at, at + 2, "unicode");
    if (text.charAt(at + 2) === '"') return nameAt(text, at, at + 2, true);
  }
  const word = match(WORD, text, at);
  if (word !== null) return { kind: "word", value: foldName(word), start: at, end: at + word.length };
  const number = match(NUMBER, text, at);
  if (number !== null) return { kind: "number", value: number, start: at, end: at + number.length };
  if (first === "$") {
    const tag = match(DOLLAR_TAG, text, at);
    if (tag !== null) {
      const close = text.indexOf(tag, at + tag.length);
      return close < 0 ? null : { kind: "string", value: text.slice(at + tag.length, close), start: at, end: close + tag.length };
    }
  }
  return { kind: "symbol", value: first, start: at, end: at + 1 };
}

function nameAt(text: string, start: number, quote: number, unicode: boolean): Token | null {
  let value = "";
  for (let at = quote + 1; ; ) {
    const close = text.indexOf('"', at);
    if (close < 0) return null;
    value += text.slice(at, close);
    if (text.charAt(close + 1) !== '"') return { kind: "name", value: unicode ? unescapeUnicode(value) : value, start, end: close + 1 };
    value += '"';
    at = close + 2;
  }
}

type StringKind = "plain" | "escapes" | "unicode";

function stringAt(text: string, start: number, quote: number, kind: StringKind): Token | null {
  let raw = "";
  let at = quote + 1;
  for (;;) {
    const character = text.charAt(at);
    if (character === "") return null;
    if (character === "\\" && kind === "escapes") {
      raw += character + text.charAt(at + 1);
      at += 2;
    } else if (character !== "'") {
      raw += character;
      at++;
    } else if (text.charAt(at + 1) === "'") {
      raw += "'";
      at += 2;
    } else {
      // A string goes on behind blanks that hold a line's end.
      const blank = match(BLANK, text, at + 1);
      if (blank === null || !LINE_BREAK.test(blank) || text.charAt(at + 1 + blank.length) !== "'") break;
      at += blank.length + 2;
    }
  }
  const value = kind === "escapes" ? unescapeString(raw) : kind === "unicode" ? unescapeUnicode(raw) : raw;
  return { kind: "string", value, start, end: at + 1 };
}

const LETTERS: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };

function unescapeString(raw: string): string {
  return raw.replace(/\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{1,2}|[0-7]{1,3}|[\s\S])/g, (_, code: string) => {
    if (/^[uUx]./.test(code)) return character(Number.parseInt(code.slice(1), 16));
    if (/^[0-7]/.test(code)) return character(Number.parseInt(code, 8) & 0xff);
    return LETTERS[code] ?? code;
  });
}

/** U&'' and U&"" with the usual backslash; UESCAPE stands behind as tokens of its own, which no caller accepts. */
function unescapeUnicode(raw: string): string {
  return raw.replace(/\\(\\|\+[0-9a-fA-F]{6}|[0-9a-fA-F]{4})/g, (_, code: string) =>
    code === "\\" ? code : character(Number.parseInt(code.replace("+", ""), 16)),
  );
}

function character(code: number): string {
  return code <= 0x10ffff ? String.fromCodePoint(code) : "\ufffd";
}

/** Reads tokens in order; every test that succeeds moves on. */
export class TokenReader {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get done(): boolean {
    return this.#at >= this.#tokens.length;
  }

  get next(): Token | null {
    return this.#tokens[this.#at] ?? null;
  }

  /** Every word of `words`, in a row; nothing is taken when one is missing. */
  words(...words: readonly string[]): boolean {
    for (let k = 0; k < words.length; k++) {
      const token = this.#tokens[this.#at + k];
      if (token?.kind !== "word" || token.value !== words[k]) return false;
    }
    this.#at += words.length;
    return true;
  }

  symbol(symbol: string): boolean {
    const token = this.next;
    if (token?.kind !== "symbol" || token.value !== symbol) return false;
    this.#at++;
    return true;
  }

  /** A name, quoted or not, cut to 63 bytes. */
  name(): string | null {
    const token = this.next;
    if (token === null || (token.kind !== "word" && token.kind !== "name")) return null;
    this.#at++;
    return truncateName(token.value);
  }

  take(): Token | null {
    const token = this.next;
    if (token !== null) this.#at++;
    return token;
  }

  /** What would come `k` tokens further on. */
  peek(k: number): Token | null {
    return this.#tokens[this.#at + k] ?? null;
  }
}
