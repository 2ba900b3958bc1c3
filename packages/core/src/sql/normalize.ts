// A statement's text without what differs from one run to the next: literals, parameters' numbers, blanks, comments and the case of
// words. Equal bytes mean that everything but values is equal, so that what was found out about one text holds for all.
// Hot: one pass over the bytes, nothing is allocated. Knows nothing of what statements mean.
//
//   SELECT * FROM t WHERE id = 42 -- hello      ─▶  select*from t where id='
//   select * from T where ID IN ('a', 'b')      ─▶  select*from t where id in(')
import {
  BYTE_CLASS,
  ByteClass,
  skipBlank,
  skipBlockComment,
  skipDollar,
  skipLineComment,
  skipPlainString,
  skipPrefixed,
  skipQuotedName,
  UNTERMINATED,
  WORD_PART,
} from "./lexical.js";

/** Stands for a literal; "$" stands for a parameter. */
export const LITERAL = 0x27;
/** Longer texts are not looked at. */
export const longestTextBytes = 16 * 1024;
/** What is left of a text may be this long. */
const longestBytes = 4 * 1024;

export interface Normalized {
  readonly bytes: Uint8Array;
  length: number;
  /** Of the bytes. */
  hash: number;
}

export function createNormalized(): Normalized {
  return { bytes: new Uint8Array(longestBytes + 8), length: 0, hash: 0 };
}

/** Nobody outside can know which texts share a hash. */
const seed = Math.trunc(Math.random() * 0x7fffffff);

const PARAMETER = 0x24;
const SPACE = 0x20;
const DASH = 0x2d;
const STAR = 0x2a;
const DOT = 0x2e;
const COMMA = 0x2c;
const AMPERSAND = 0x26;
const DOUBLE_QUOTE = 0x22;

/** What a byte may be here, beside BYTE_CLASS. */
const Kind = { REFUSED: 0, OPERATOR: 1, SELF: 2, DIGIT: 3 } as const;
const KIND = new Uint8Array(256);
for (const character of "+-*/<>=~!@#%^&|`?") KIND[character.charCodeAt(0)] = Kind.OPERATOR;
for (const character of "()[],.:") KIND[character.charCodeAt(0)] = Kind.SELF;
for (let digit = 0x30; digit <= 0x39; digit++) KIND[digit] = Kind.DIGIT;

/** A-Z to a-z, every other byte to itself. */
const FOLDED = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte));

/** Ends of tokens that need a blank before what comes next. */
const Before = { NOTHING: 0, WORD: 1, OPERATOR: 2 } as const;

/**
 * buffer[start, end) by the rules of standard_conforming_strings = on and an encoding in which every byte below 0x80 is ASCII.
 * False: not one statement, or one whose tokens are not certain.
 */
export function normalize(buffer: Uint8Array, start: number, end: number, out: Normalized): boolean {
  if (end - start > longestTextBytes) return false;
  const byteClasses = BYTE_CLASS;
  const wordParts = WORD_PART;
  const folded = FOLDED;
  const { bytes } = out;
  const text = buffer as Buffer;
  let length = 0;
  let hash = seed;
  let before: number = Before.NOTHING;
  let gap = false;
  let i = start;
  while (i < end) {
    if (length > longestBytes) return false;
    const byte = buffer[i] as number;
    switch (byteClasses[byte]) {
      case ByteClass.SPACE:
        gap = true;
        i++;
        continue;
      case ByteClass.WORD: {
        const from = i;
        do i++;
        while (i < end && wordParts[buffer[i] as number] === 1);
        if (i - from === 1 && i < end) {
          const behind = skipPrefixed(text, from, end);
          if (behind === UNTERMINATED) return false;
          if (behind !== i) {
            // U&"…" may be any name.
            if (buffer[i] === AMPERSAND && buffer[i + 1] === DOUBLE_QUOTE) return false;
            i = behind;
            length = putValue(bytes, length, LITERAL, before === Before.WORD);
            before = Before.WORD;
            gap = false;
            continue;
          }
        }
        if (length + (i - from) > longestBytes) return false;
        if (before === Before.WORD) bytes[length++] = SPACE;
        for (let k = from; k < i; k++) bytes[length++] = folded[buffer[k] as number] as number;
        before = Before.WORD;
        gap = false;
        continue;
      }
      case ByteClass.QUOTE:
        i = skipPlainString(text, i, end, true);
        if (i === UNTERMINATED) return false;
        length = putValue(bytes, length, LITERAL, before === Before.WORD);
        before = Before.WORD;
        gap = false;
        continue;
      case ByteClass.DOUBLE_QUOTE: {
        const behind = skipQuotedName(text, i, end);
        if (behind === UNTERMINATED || length + (behind - i) > longestBytes) return false;
        // What closes and opens again without a blank is one name with a quote in it.
        if (before === Before.WORD && (gap || bytes[length - 1] !== DOUBLE_QUOTE)) bytes[length++] = SPACE;
        for (let k = i; k < behind; k++) bytes[length++] = buffer[k] as number;
        i = behind;
        before = Before.WORD;
        gap = false;
        continue;
      }
      case ByteClass.DOLLAR: {
        const behind = skipDollar(text, i, end);
        if (behind === UNTERMINATED) return false;
        if (behind > i + 1) {
          i = behind;
          length = putValue(bytes, length, LITERAL, before === Before.WORD);
        } else {
          do i++;
          while (i < end && KIND[buffer[i] as number] === Kind.DIGIT);
          if (i === behind || (i < end && wordParts[buffer[i] as number] === 1)) return false;
          length = putValue(bytes, length, PARAMETER, before === Before.WORD);
        }
        before = Before.WORD;
        gap = false;
        continue;
      }
      case ByteClass.DASH:
        if (i + 1 < end && buffer[i + 1] === DASH) {
          i = skipLineComment(text, i, end);
          gap = true;
          continue;
        }
        break;
      case ByteClass.SLASH:
        if (i + 1 < end && buffer[i + 1] === STAR) {
          i = skipBlockComment(text, i, end);
          if (i === UNTERMINATED) return false;
          gap = true;
          continue;
        }
        break;
      case ByteClass.SEMICOLON:
        for (;;) {
          i = skipBlank(text, i, end);
          if (i === UNTERMINATED) return false;
          if (i >= end) break;
          if (byteClasses[buffer[i] as number] !== ByteClass.SEMICOLON) return false;
          i++;
        }
        continue;
    }
    const kind = KIND[byte];
    if (kind === Kind.DIGIT || (byte === DOT && i + 1 < end && KIND[buffer[i + 1] as number] === Kind.DIGIT)) {
      i = skipNumber(buffer, i, end);
      if (i < 0) return false;
      length = putValue(bytes, length, LITERAL, before === Before.WORD);
      before = Before.WORD;
      gap = false;
      continue;
    }
    if (kind === Kind.OPERATOR) {
      if (before === Before.OPERATOR && gap) bytes[length++] = SPACE;
      bytes[length++] = byte;
      before = Before.OPERATOR;
    } else if (kind === Kind.SELF) {
      bytes[length++] = byte;
      before = Before.NOTHING;
    } else {
      return false;
    }
    gap = false;
    i++;
  }
  for (let k = 0; k < length; k++) hash = Math.imul(hash ^ (bytes[k] as number), 0x01000193);
  out.length = length;
  out.hash = hash ^ (hash >>> 15);
  return length > 0 && length <= longestBytes;
}

/** A value at the end of a list of such values is one with the list. Returns the new length. */
function putValue(bytes: Uint8Array, at: number, value: number, behindWord: boolean): number {
  if (at > 1 && bytes[at - 1] === COMMA && bytes[at - 2] === value) return at - 1;
  if (!behindWord) {
    bytes[at] = value;
    return at + 1;
  }
  if (bytes[at - 1] === LITERAL && value === LITERAL) return at; // 'a''b', or a string that goes on in the next line
  bytes[at] = SPACE;
  bytes[at + 1] = value;
  return at + 2;
}

/** Behind the number at `i`; -1 where releases of PostgreSQL see different tokens (1abc, 0x1f, 1_000). */
function skipNumber(buffer: Uint8Array, start: number, end: number): number {
  let i = skipDigits(buffer, start, end);
  if (i < end && buffer[i] === DOT) {
    if (i + 1 < end && buffer[i + 1] === DOT) return -1;
    i = skipDigits(buffer, i + 1, end);
  }
  if (i < end && ((buffer[i] as number) | 0x20) === 0x65) {
    let at = i + 1;
    if (at < end && (buffer[at] === DASH || buffer[at] === 0x2b)) at++;
    const behind = skipDigits(buffer, at, end);
    if (behind === at) return -1;
    i = behind;
  }
  return i < end && WORD_PART[buffer[i] as number] === 1 ? -1 : i;
}

function skipDigits(buffer: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && KIND[buffer[i] as number] === Kind.DIGIT) i++;
  return i;
}
