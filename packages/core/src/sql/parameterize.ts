// Takes the values out of a text so that texts which differ in nothing else are one statement with parameters. Only where a
// parameter is to PostgreSQL what the value is: in conditions (WHERE, ON), behind a comparison, in front of what ends an operand. Elsewhere
// it matters whether two expressions are the same: what is selected, grouped by and ordered by. All else stays, byte for byte.
// Works on tokens, knows no grammar. Hot: one pass, nothing is allocated.
//
//   SELECT a FROM t WHERE id = 42 AND b > 'x' LIMIT 5   ─▶   SELECT a FROM t WHERE id = $1 AND b > $2 LIMIT 5      42 (int4), x

import {
  BYTE_CLASS,
  ByteClass,
  isWord,
  skipBlockComment,
  skipLineComment,
  skipPrefixed,
  skipQuotedName,
  skipWord,
  UNTERMINATED,
  WORD_PART,
  word,
} from "./lexical.js";
import { kindOfNumber, typeOidOf } from "./literal-scan.js";

/** Longer texts are left as they are. */
const longestBytes = 4 * 1024;
/** What stands behind so many values stays. */
export const mostValues = 16;

export interface Parameterized {
  /** The text with parameters. */
  readonly bytes: Uint8Array;
  length: number;
  /** Of the bytes. */
  hash: number;
  count: number;
  /** The values, in the buffer that was read: strings without their quotes, but with doubled ones inside. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** 0 for a string: PostgreSQL finds its type as it does for the literal. */
  readonly typeOids: Int32Array;
}

export function createParameterized(): Parameterized {
  return {
    // A value is at least a byte, its parameter three at most.
    bytes: new Uint8Array(longestBytes + 2 * mostValues),
    length: 0,
    hash: 0,
    count: 0,
    starts: new Int32Array(mostValues),
    ends: new Int32Array(mostValues),
    typeOids: new Int32Array(mostValues),
  };
}

/** Nobody outside can know which texts share a hash. */
const seed = Math.trunc(Math.random() * 0x7fffffff);

const QUOTE = 0x27;
const DASH = 0x2d;
const STAR = 0x2a;
const SLASH = 0x2f;
const DOT = 0x2e;
const EQUAL = 0x3d;
const LESS = 0x3c;
const GREATER = 0x3e;
const EXCLAMATION = 0x21;
const DOLLAR = 0x24;
const OPEN = 0x28;
const CLOSE = 0x29;
const ZERO = 0x30;

const Kind = { REFUSED: 0, OPERATOR: 1, SELF: 2, DIGIT: 3 } as const;
const KIND = new Uint8Array(256);
for (const character of "+-*/<>=~!@#%^&|`?") KIND[character.charCodeAt(0)] = Kind.OPERATOR;
for (const character of "()[],.:;") KIND[character.charCodeAt(0)] = Kind.SELF;
for (let digit = 0x30; digit <= 0x39; digit++) KIND[digit] = Kind.DIGIT;

/** Words with which conditions begin, and those that end them. */
const beginsCondition = ["where", "on"];
const endsCondition = `select from group order having window limit offset fetch union intersect except values returning using with`.split(
  " ",
);
const conditionWords = [...beginsCondition, ...endsCondition].map((text, i) => ({ bytes: word(text), begins: i < beginsCondition.length }));
/** Bit (first letter & 31) at a word's length: whether it may be one of them. */
const CONDITION_WORDS = new Int32Array(10);
for (const { bytes } of conditionWords)
  CONDITION_WORDS[bytes.length] = (CONDITION_WORDS[bytes.length] as number) | (1 << ((bytes[0] as number) & 31));
/** Further in nothing is looked at: there is a bit for each. */
const deepest = 30;

/** Words that end what a comparison compares with. */
const enders = ["and", "or", "where", "order", "group", "having", "limit", "offset", "then", "when", "else", "end"].map(word);

/**
 * buffer[start, end) by the rules of standard_conforming_strings = on and an encoding in which every byte below 0x80 is ASCII.
 * False: it holds something else than plain strings and numbers, or nothing that is a text.
 */
export function parameterize(buffer: Buffer, start: number, end: number, out: Parameterized): boolean {
  if (end - start > longestBytes) return false;
  const classes = BYTE_CLASS;
  const { bytes } = out;
  let length = 0;
  let count = 0;
  let comparing = false;
  let afterString = false;
  // The lowest bit: in a condition. The next one: in front of the innermost parenthesis that is open, and so on.
  let conditions = 0;
  let depth = 0;
  let i = start;
  while (i < end) {
    const from = i;
    const byte = buffer[i] as number;
    const kind = KIND[byte] as number;
    const byteClass = classes[byte] as number;
    if (byteClass === ByteClass.WORD) {
      i = skipWord(buffer, i, end);
      const wordLength = i - from;
      if (wordLength === 1 && i < end && skipPrefixed(buffer, from, end) !== i) return false;
      if (wordLength < 10 && (((CONDITION_WORDS[wordLength] as number) >>> (byte & 31)) & 1) === 1) {
        const turn = turnOf(buffer, from, i);
        if (turn !== 0) conditions = turn > 0 ? conditions | 1 : conditions & ~1;
      }
      comparing = false;
      afterString = false;
    } else if (byteClass === ByteClass.SPACE) {
      i++;
    } else if (kind === Kind.DIGIT || (byte === DOT && i + 1 < end && KIND[buffer[i + 1] as number] === Kind.DIGIT)) {
      i = skipNumber(buffer, i, end);
      if (comparing && (conditions & 1) === 1 && count < mostValues && endsOperand(buffer, i, end)) {
        const literal = kindOfNumber(buffer, from, i);
        if (literal !== 0) {
          out.starts[count] = from;
          out.ends[count] = i;
          out.typeOids[count++] = typeOidOf(literal, i - from);
          length = putParameter(bytes, length, count);
          comparing = false;
          continue;
        }
      }
      comparing = false;
      afterString = false;
    } else if (byte === QUOTE) {
      // Two in a row may be one.
      if (afterString) return false;
      i = skipString(buffer, i, end);
      if (i === UNTERMINATED) return false;
      afterString = true;
      if (comparing && (conditions & 1) === 1 && count < mostValues && endsOperand(buffer, i, end)) {
        out.starts[count] = from + 1;
        out.ends[count] = i - 1;
        out.typeOids[count++] = 0;
        length = putParameter(bytes, length, count);
        comparing = false;
        continue;
      }
      comparing = false;
    } else if (byteClass === ByteClass.DOUBLE_QUOTE) {
      i = skipQuotedName(buffer, i, end);
      if (i === UNTERMINATED) return false;
      comparing = false;
      afterString = false;
    } else if (kind === Kind.OPERATOR) {
      i = skipComment(buffer, i, end);
      if (i === UNTERMINATED) return false;
      if (i === from) {
        do i++;
        while (i < end && KIND[buffer[i] as number] === Kind.OPERATOR && !beginsComment(buffer, i, end));
        comparing = isComparison(buffer, from, i);
        afterString = false;
      } else {
        comparing = false;
      }
    } else if (kind === Kind.SELF) {
      if (byte === OPEN) {
        if (++depth > deepest) return false;
        conditions = (conditions << 1) | (conditions & 1);
      } else if (byte === CLOSE && depth > 0) {
        depth--;
        conditions >>>= 1;
      }
      i++;
      comparing = false;
      afterString = false;
    } else {
      return false; // a parameter, a string in dollars
    }
    for (let k = from; k < i; k++) bytes[length++] = buffer[k] as number;
  }
  let hash = seed;
  for (let k = 0; k < length; k++) hash = Math.imul(hash ^ (bytes[k] as number), 0x01000193);
  out.length = length;
  out.hash = hash ^ (hash >>> 15);
  out.count = count;
  return length > 0;
}

/** How many bytes a string's value has, its doubled quotes taken for one each. */
export function stringLength(buffer: Buffer, start: number, end: number): number {
  let length = end - start;
  for (let i = start; i < end; i++) {
    if (buffer[i] !== QUOTE) continue;
    length--;
    i++;
  }
  return length;
}

/** What may hold a quote that begins no string, and strings themselves. */
const quoting = /--[^\n\r]*|\/\*(?:[^*/]|\*(?!\/)|\/(?!\*))*\*\/|"[^"]*"|'(?:[^']|'')*'/g;
const prefixedString = /(?:^|[^\w$\u0080-\u00ff])(?:[ebx]|u&)'/i;
const stringInDollars = /\$(?:[a-z_\u0080-\u00ff][\w\u0080-\u00ff]*)?\$/i;
/** Strings that PostgreSQL reads anew with every text: 'today' was another day when the statement was prepared. */
const readAnew = /now|today|tomorrow|yesterday/i;
/** The types whose values are found by a name. */
const objectName =
  /(?:^|[^\w$\u0080-\u00ff])reg(?:class|collation|config|dictionary|namespace|oper|operator|proc|procedure|role|type)(?![\w$\u0080-\u00ff])/i;
/** PostgreSQL cuts a longer name, and says so each time that it reads it. */
const longName = /[\w$\u0080-\u00ff]{64}|"[^"]{64}/;

/** Does a statement that was prepared once mean what its text means each time? `text`: one character for each byte. Not hot. */
export function keepsMeaning(text: string): boolean {
  if (objectName.test(text) || longName.test(text)) return false;
  if (!text.includes("'") && !text.includes("$")) return true;
  const strings: string[] = [];
  const rest = text.replace(quoting, (found) => {
    if (found.startsWith("'")) strings.push(found);
    return found.startsWith("-") || found.startsWith("/") ? " " : found.slice(0, 1);
  });
  if (rest.includes("/*")) return false; // they may nest
  return !prefixedString.test(rest) && !stringInDollars.test(rest) && !/'\s+'/.test(rest) && !strings.some((each) => readAnew.test(each));
}

/**
 * Words of statements that mean something else as Bind and Execute: what tells the time of a message or its text, and what lists a session's
 * portals and statements. And where it matters whether expressions with values in them are the same, deep inside of conditions.
 */
const ofSimpleQueries =
  /(?:^|[^\w$\u0080-\u00ff])(?:cube|grouping|rollup|statement_timestamp|current_query|pg_cursors?|pg_prepared_statements?)(?![\w$\u0080-\u00ff])/i;

/** Does a simple query mean the same when it is run as a prepared statement with its values? Not hot. */
export function keepsMeaningInBatch(text: string): boolean {
  return !ofSimpleQueries.test(text);
}

function putParameter(bytes: Uint8Array, at: number, number: number): number {
  bytes[at] = DOLLAR;
  if (number < 10) {
    bytes[at + 1] = ZERO + number;
    return at + 2;
  }
  bytes[at + 1] = ZERO + 1;
  bytes[at + 2] = ZERO + number - 10;
  return at + 3;
}

/** Behind the string at `i`, doubled quotes included. */
function skipString(buffer: Buffer, i: number, end: number): number {
  for (let at = i + 1; at < end; at++) {
    if (buffer[at] !== QUOTE) continue;
    if (at + 1 >= end || buffer[at + 1] !== QUOTE) return at + 1;
    at++;
  }
  return UNTERMINATED;
}

/** Over whatever could be a part of a number, an exponent's sign excepted. */
function skipNumber(buffer: Buffer, from: number, end: number): number {
  let at = from + 1;
  while (at < end && (WORD_PART[buffer[at] as number] === 1 || buffer[at] === DOT)) at++;
  return at;
}

/** 1: a condition begins with the word; -1: it has come to its end. */
function turnOf(buffer: Buffer, from: number, to: number): number {
  for (const { bytes, begins } of conditionWords) if (isWord(buffer, from, to, bytes)) return begins ? 1 : -1;
  return 0;
}

/** Is the operand that ends at `i` over, whatever the grammar makes of what follows? */
function endsOperand(buffer: Buffer, i: number, end: number): boolean {
  let at = i;
  while (at < end && BYTE_CLASS[buffer[at] as number] === ByteClass.SPACE) at++;
  if (at >= end) return true;
  switch (BYTE_CLASS[buffer[at] as number]) {
    case ByteClass.SEMICOLON:
    case ByteClass.CLOSE:
      return true;
    case ByteClass.WORD:
      break;
    default:
      return buffer[at] === 0x2c; // a comma
  }
  if (at === i) return false;
  const behind = skipWord(buffer, at, end);
  for (const ender of enders) if (isWord(buffer, at, behind, ender)) return true;
  return false;
}

function beginsComment(buffer: Buffer, i: number, end: number): boolean {
  if (i + 1 >= end) return false;
  return (buffer[i] === DASH && buffer[i + 1] === DASH) || (buffer[i] === SLASH && buffer[i + 1] === STAR);
}

/** Behind the comment at `i`; `i` where none begins. */
function skipComment(buffer: Buffer, i: number, end: number): number {
  if (!beginsComment(buffer, i, end)) return i;
  return buffer[i] === DASH ? skipLineComment(buffer, i, end) : skipBlockComment(buffer, i, end);
}

/** = < > <= >= <> != */
function isComparison(buffer: Buffer, from: number, to: number): boolean {
  const first = buffer[from];
  if (to - from === 1) return first === EQUAL || first === LESS || first === GREATER;
  if (to - from !== 2) return false;
  const second = buffer[from + 1];
  if (second === EQUAL) return first === LESS || first === GREATER || first === EXCLAMATION;
  return first === LESS && second === GREATER;
}
