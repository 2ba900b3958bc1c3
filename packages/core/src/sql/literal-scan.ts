// Lifts the literals out of a statement's bytes: what is left is its shape, which texts share that differ in their numbers,
// strings, blanks and comments alone. By PostgreSQL's lexical rules; knows no grammar. Hot: one pass, no allocation but
// the shape's key.
//
//   SELECT a FROM t WHERE id = 42 AND b = 'x'   ──▶   shape  SELECT a FROM t WHERE id = ① AND b = ②   literals  42, x
//
// Texts of one shape have the same tokens, so the grammar makes the same tree of them but for the values of constants. What is
// left in the shape as it stands: strings of other kinds (E'', U&'', B'', X'', $$), numbers that are not written plainly.
import "../base/node-buffer.js";
import {
  BYTE_CLASS,
  ByteClass,
  skipBlockComment,
  skipDollar,
  skipLineComment,
  skipPrefixed,
  skipQuotedName,
  UNTERMINATED,
  WORD_PART,
} from "./lexical.js";

/** Longer texts and those with more literals are not lifted. */
const longestText = 8192;
export const mostLiterals = 64;

/** What a literal is to PostgreSQL's lexer, and its mark in the shape: none of them can stand in a text that is lifted. */
export const LiteralKind = {
  /** '…', of type unknown. */
  STRING: 1,
  /** A number that is an int4. */
  INTEGER: 2,
  /** A whole number beyond. */
  LARGE: 3,
  /** Digits on both sides of a point. */
  DECIMAL: 4,
} as const;

export class LiteralScan {
  count = 0;
  /** The shape, one character for each byte. */
  key = "";
  readonly kinds = new Uint8Array(mostLiterals);
  /** Where each literal's token begins, counted from the start of the statement. */
  readonly tokens = new Int32Array(mostLiterals);
  /** A minus sign that stands before the number, counted from the start of the statement; -1: none. */
  readonly signs = new Int32Array(mostLiterals);
  /** The values, in `buffer`. */
  buffer: Buffer = Buffer.alloc(0);
  readonly starts = new Int32Array(mostLiterals);
  readonly ends = new Int32Array(mostLiterals);
  /** 1: a string with doubled quotes, which lies in `#values` without them. */
  readonly #unquoted = new Uint8Array(mostLiterals);
  readonly #shape = Buffer.alloc(longestText);
  /** Strings without their doubled quotes; behind them what gather() puts together. */
  readonly #values = Buffer.alloc(2 * longestText + mostLiterals);
  #valuesEnd = 0;

  /**
   * Scans buffer[start, end): one statement without what stands around it, with standard_conforming_strings on, in UTF8 or all ASCII.
   * False: it is not lifted. `buffer` is looked at until the next scan.
   */
  scan(buffer: Buffer, start: number, end: number, highBytes: boolean): boolean {
    this.count = 0;
    this.buffer = buffer;
    this.#valuesEnd = 0;
    if (end - start > longestText) return false;
    const shape = this.#shape;
    const classes = BYTE_CLASS;
    const wordParts = WORD_PART;
    let length = 0;
    let blank = false;
    let minus = -1;
    let afterString = false;
    let at = start;
    while (at < end) {
      const byte = buffer[at] as number;
      const kind = classes[byte] as number;
      if (kind === ByteClass.SPACE) {
        blank = true;
        at++;
        continue;
      }
      if (kind === ByteClass.DASH && buffer[at + 1] === DASH) {
        blank = true;
        at = skipLineComment(buffer, at, end);
        continue;
      }
      if (kind === ByteClass.SLASH && buffer[at + 1] === STAR) {
        blank = true;
        at = skipBlockComment(buffer, at, end);
        if (at === UNTERMINATED) return false;
        continue;
      }
      if (blank) {
        if (length > 0) shape[length++] = SPACE;
        blank = false;
      }
      const from = at;
      if (kind === ByteClass.QUOTE) {
        // Two strings in a row may be one, or an error.
        if (afterString) return false;
        at = this.#string(buffer, at, start, end, highBytes);
        if (at === UNTERMINATED) return false;
        shape[length++] = LiteralKind.STRING;
        afterString = true;
        minus = -1;
        continue;
      }
      afterString = false;
      if (kind === ByteClass.WORD) {
        do at++;
        while (at < end && wordParts[buffer[at] as number] === 1);
        if (at - from === 1) at = skipPrefixed(buffer, from, end);
        if (at === UNTERMINATED || (!highBytes && hasHighByte(buffer, from, at))) return false;
        for (let i = from; i < at; i++) shape[length++] = buffer[i] as number;
        minus = -1;
        continue;
      }
      if (isDigit(byte)) {
        at = skipNumber(buffer, at, end);
        const literal = kindOfNumber(buffer, from, at);
        if (literal === 0) {
          for (let i = from; i < at; i++) shape[length++] = buffer[i] as number;
        } else {
          if (this.count === mostLiterals) return false;
          const n = this.count++;
          this.kinds[n] = literal;
          this.tokens[n] = from - start;
          this.signs[n] = minus < 0 ? -1 : minus - start;
          this.#unquoted[n] = 0;
          this.starts[n] = from;
          this.ends[n] = at;
          shape[length++] = literal;
        }
        minus = -1;
        continue;
      }
      minus = -1;
      if (kind === ByteClass.DOUBLE_QUOTE) {
        at = skipQuotedName(buffer, at, end);
        if (at === UNTERMINATED || (!highBytes && hasHighByte(buffer, from, at))) return false;
      } else if (kind === ByteClass.DOLLAR) {
        at = skipDollar(buffer, at, end);
        // A parameter, of which the simple protocol has none.
        if (at === UNTERMINATED || at === from + 1 || (!highBytes && hasHighByte(buffer, from, at))) return false;
      } else {
        // A semicolon may stand in the middle of a statement that is a routine's body.
        if (byte < SPACE || kind === ByteClass.SEMICOLON) return false;
        if (byte === DASH) minus = at;
        at++;
      }
      for (let i = from; i < at; i++) shape[length++] = buffer[i] as number;
    }
    this.key = shape.latin1Slice(0, length);
    return true;
  }

  /** The literal's value, without a sign, one character for each byte. */
  valueOf(n: number): string {
    return this.#bufferOf(n).latin1Slice(this.starts[n], this.ends[n]);
  }

  /**
   * Puts the values of all literals but those in `kept` side by side: what the plugins get as parameters. Fills
   * `offsets`, `lengths` and `typeOids` and returns the buffer that they lie in.
   */
  gather(kept: readonly boolean[], negated: readonly boolean[], offsets: Int32Array, lengths: Int32Array, typeOids: number[]): Buffer {
    const values = this.#values;
    let end = this.#valuesEnd;
    let lifted = 0;
    for (let n = 0; n < this.count; n++) {
      if (kept[n] === true) continue;
      const from = this.starts[n] as number;
      const to = this.ends[n] as number;
      const buffer = this.#bufferOf(n);
      offsets[lifted] = end;
      if (negated[n] === true) values[end++] = DASH;
      for (let i = from; i < to; i++) values[end++] = buffer[i] as number;
      lengths[lifted] = end - (offsets[lifted] as number);
      typeOids[lifted] = typeOidOf(this.kinds[n] as number, to - from);
      lifted++;
    }
    typeOids.length = lifted;
    return values;
  }

  #bufferOf(n: number): Buffer {
    return this.#unquoted[n] === 1 ? this.#values : this.buffer;
  }

  #string(buffer: Buffer, at: number, start: number, end: number, highBytes: boolean): number {
    if (this.count === mostLiterals) return UNTERMINATED;
    const n = this.count++;
    this.kinds[n] = LiteralKind.STRING;
    this.tokens[n] = at - start;
    this.signs[n] = -1;
    this.#unquoted[n] = 0;
    this.starts[n] = at + 1;
    let doubled = false;
    let i = at + 1;
    for (; i < end; i++) {
      const byte = buffer[i] as number;
      if (byte >= 0x80 && !highBytes) return UNTERMINATED;
      if (byte !== QUOTE) continue;
      if (buffer[i + 1] !== QUOTE || i + 1 >= end) break;
      doubled = true;
      i++;
    }
    if (i >= end) return UNTERMINATED;
    this.ends[n] = i;
    if (doubled) this.#unquote(buffer, n, i);
    return i + 1;
  }

  #unquote(buffer: Buffer, n: number, end: number): void {
    const values = this.#values;
    const first = this.#valuesEnd;
    let to = first;
    for (let i = this.starts[n] as number; i < end; i++) {
      values[to++] = buffer[i] as number;
      if (buffer[i] === QUOTE) i++;
    }
    this.starts[n] = first;
    this.ends[n] = to;
    this.#unquoted[n] = 1;
    this.#valuesEnd = to;
  }
}

const SPACE = 0x20;
const STAR = 0x2a;
const DASH = 0x2d;
const POINT = 0x2e;
const QUOTE = 0x27;

const Oid = { INT8: 20, INT4: 23, UNKNOWN: 705, NUMERIC: 1700 } as const;

/** As make_const() has it, but for the sign: of the numbers beyond int4 those with up to 18 digits are an int8. */
export function typeOidOf(kind: number, digits: number): number {
  switch (kind) {
    case LiteralKind.INTEGER:
      return Oid.INT4;
    case LiteralKind.LARGE:
      return digits <= 18 ? Oid.INT8 : Oid.NUMERIC;
    case LiteralKind.DECIMAL:
      return Oid.NUMERIC;
    default:
      return Oid.UNKNOWN;
  }
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function hasHighByte(buffer: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if ((buffer[i] as number) >= 0x80) return true;
  return false;
}

/** Over whatever could be a part of a number, an exponent's sign excepted. */
function skipNumber(buffer: Buffer, from: number, end: number): number {
  let at = from + 1;
  while (at < end && (WORD_PART[buffer[at] as number] === 1 || buffer[at] === POINT)) at++;
  return at;
}

/** 0: written in another way than plain digits, with or without a point. */
export function kindOfNumber(buffer: Buffer, from: number, to: number): number {
  let point = -1;
  for (let i = from; i < to; i++) {
    const byte = buffer[i] as number;
    if (isDigit(byte)) continue;
    if (byte !== POINT || point >= 0) return 0;
    point = i;
  }
  if (point >= 0) return point === to - 1 ? 0 : LiteralKind.DECIMAL;
  const digits = to - from;
  if (digits < 10) return LiteralKind.INTEGER;
  // Leading zeros would make the type depend on more than the number of digits; 19 digits may be an int8 or not.
  if (buffer[from] === 0x30 || digits === 19) return 0;
  if (digits > 10) return LiteralKind.LARGE;
  let value = 0;
  for (let i = from; i < to; i++) value = value * 10 + (buffer[i] as number) - 0x30;
  return value <= 0x7fff_ffff ? LiteralKind.INTEGER : LiteralKind.LARGE;
}
