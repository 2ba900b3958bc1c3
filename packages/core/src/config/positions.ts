// Where each key and value of a TOML text stands. Reads the structure only and takes for granted that a real parser
// accepted the text: what it cannot follow it leaves out, and a lookup falls back to what encloses it.
import { parse } from "smol-toml";

export type KeyPath = readonly (string | number)[];

export interface Position {
  /** Both count from 1. */
  readonly line: number;
  readonly column: number;
}

export interface PositionIndex {
  /** Where the key is written; the nearest table or list around it when it is not. */
  keyAt(path: KeyPath): Position;
  /** Where its value begins; falls back as keyAt does. */
  valueAt(path: KeyPath): Position;
}

export function indexPositions(toml: string): PositionIndex {
  const scanner = new Scanner(toml);
  scanner.document();
  const lineStarts = startsOfLines(toml);
  const nearest = (own: ReadonlyMap<string, number>, path: KeyPath): Position => {
    const first = own.get(pathId(path));
    if (first !== undefined) return toPosition(lineStarts, first);
    for (let length = path.length; length > 0; length -= 1) {
      const offset = scanner.keys.get(pathId(path.slice(0, length))) ?? scanner.values.get(pathId(path.slice(0, length)));
      if (offset !== undefined) return toPosition(lineStarts, offset);
    }
    return { line: 1, column: 1 };
  };
  return {
    keyAt: (path) => nearest(scanner.keys, path),
    valueAt: (path) => nearest(scanner.values, path),
  };
}

const pathId = (path: KeyPath): string => JSON.stringify(path.map(String));

function startsOfLines(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

function toPosition(lineStarts: readonly number[], offset: number): Position {
  let low = 0;
  let high = lineStarts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((lineStarts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return { line: low + 1, column: offset - (lineStarts[low] ?? 0) + 1 };
}

class Scanner {
  readonly keys = new Map<string, number>();
  readonly values = new Map<string, number>();
  readonly #text: string;
  /** Number of tables so far in each array of tables. */
  readonly #tables = new Map<string, number>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    if (text.startsWith("\ufeff")) this.#at = 1;
  }

  document(): void {
    let table: KeyPath = [];
    for (this.#skipBlank(); this.#at < this.#text.length; this.#skipBlank()) {
      const before = this.#at;
      if (this.#peek() === "[") table = this.#header();
      else this.#keyValue(table);
      // Nothing was understood: go on with the next line rather than standing still.
      if (this.#at === before) this.#skipLine();
    }
  }

  #header(): KeyPath {
    const start = this.#at;
    const isArray = this.#text.startsWith("[[", start);
    this.#at += isArray ? 2 : 1;
    const parts = this.#key();
    this.#skipLine();
    let path: KeyPath = [];
    for (const [index, part] of parts.entries()) {
      path = [...path, part.name];
      const isLast = index === parts.length - 1;
      const id = pathId(path);
      if (isLast && isArray) this.#tables.set(id, (this.#tables.get(id) ?? 0) + 1);
      this.#note(this.keys, path, isLast ? start : part.offset);
      const count = this.#tables.get(id);
      if (count !== undefined) path = [...path, count - 1];
    }
    this.#note(this.keys, path, start);
    return path;
  }

  #keyValue(table: KeyPath): void {
    let path = table;
    for (const part of this.#key()) {
      path = [...path, part.name];
      this.#note(this.keys, path, part.offset);
    }
    this.#skipSpaces();
    if (this.#peek() === "=") {
      this.#at += 1;
      this.#skipSpaces();
      this.#value(path);
    } else {
      this.#skipLine();
    }
  }

  #value(path: KeyPath): void {
    this.#note(this.values, path, this.#at);
    const first = this.#peek();
    if (first === '"' || first === "'") this.#skipString(first);
    else if (first === "[") this.#list(path);
    else if (first === "{") this.#inlineTable(path);
    else while (this.#at < this.#text.length && !/[,\]}#\r\n]/.test(this.#peek())) this.#at += 1;
  }

  #list(path: KeyPath): void {
    this.#at += 1;
    for (let index = 0; ; index += 1) {
      this.#skipBlank();
      if (this.#closes("]")) return;
      this.#value([...path, index]);
      this.#skipBlank();
      if (this.#peek() === ",") this.#at += 1;
    }
  }

  #inlineTable(path: KeyPath): void {
    this.#at += 1;
    for (;;) {
      this.#skipBlank();
      if (this.#closes("}")) return;
      const before = this.#at;
      this.#keyValue(path);
      this.#skipBlank();
      if (this.#peek() === ",") this.#at += 1;
      if (this.#at === before) this.#at = this.#text.length;
    }
  }

  #closes(bracket: string): boolean {
    if (this.#at >= this.#text.length) return true;
    if (this.#peek() !== bracket) return false;
    this.#at += 1;
    return true;
  }

  /** `a . "b c".d` */
  #key(): { name: string; offset: number }[] {
    const parts: { name: string; offset: number }[] = [];
    for (;;) {
      this.#skipSpaces();
      const offset = this.#at;
      const first = this.#peek();
      if (first === '"' || first === "'") this.#skipString(first);
      else while (/[\w-]/.test(this.#peek())) this.#at += 1;
      if (this.#at === offset) return parts;
      parts.push({ name: plainKey(this.#text.slice(offset, this.#at)), offset });
      this.#skipSpaces();
      if (this.#peek() !== ".") return parts;
      this.#at += 1;
    }
  }

  #skipString(quote: string): void {
    const triple = quote.repeat(3);
    const end = this.#text.startsWith(triple, this.#at) ? triple : quote;
    this.#at += end.length;
    while (this.#at < this.#text.length && !this.#text.startsWith(end, this.#at)) {
      this.#at += quote === '"' && this.#peek() === "\\" ? 2 : 1;
    }
    this.#at += end.length;
    // Up to two quotes may stand before the closing three.
    while (end === triple && this.#peek() === quote) this.#at += 1;
  }

  #skipSpaces(): void {
    while (this.#peek() === " " || this.#peek() === "\t") this.#at += 1;
  }

  #skipBlank(): void {
    for (;;) {
      while (/\s/.test(this.#peek())) this.#at += 1;
      if (this.#peek() !== "#") return;
      this.#skipLine();
    }
  }

  #skipLine(): void {
    const end = this.#text.indexOf("\n", this.#at);
    this.#at = end === -1 ? this.#text.length : end + 1;
  }

  #peek(): string {
    return this.#text.charAt(this.#at);
  }

  /** The first mention counts: `[databases.a]` is where `databases` begins. */
  #note(map: Map<string, number>, path: KeyPath, offset: number): void {
    const id = pathId(path);
    if (!map.has(id)) map.set(id, offset);
  }
}

function plainKey(raw: string): string {
  if (!/^["']/.test(raw)) return raw;
  try {
    return Object.keys(parse(`${raw} = 0`))[0] ?? raw;
  } catch {
    return raw;
  }
}
