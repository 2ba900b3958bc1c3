// PostgreSQL's lexical rules (scan.l) as skips over bytes: what is blank, where a comment, string or quoted name ends.
// Pure functions from offset to offset; knows nothing of statements. Each returns the offset behind what it skipped,
// or UNTERMINATED when the text ends first. Hot: no allocation.

export const UNTERMINATED = -1;

/** What a byte may begin. */
export const ByteClass = {
  OTHER: 0,
  SPACE: 1,
  WORD: 2,
  QUOTE: 3,
  DOUBLE_QUOTE: 4,
  DOLLAR: 5,
  DASH: 6,
  SLASH: 7,
  OPEN: 8,
  CLOSE: 9,
  SEMICOLON: 10,
} as const;

export const BYTE_CLASS = new Uint8Array(256);
/** 1: may follow in an identifier (letters, digits, underscore, dollar, every byte from 0x80 up). */
export const WORD_PART = new Uint8Array(256);

for (let byte = 0; byte < 256; byte++) {
  const letter = (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
  const digit = byte >= 0x30 && byte <= 0x39;
  if (letter || byte === 0x5f || byte >= 0x80) {
    BYTE_CLASS[byte] = ByteClass.WORD;
    WORD_PART[byte] = 1;
  } else if (digit) {
    WORD_PART[byte] = 1;
  }
}
WORD_PART[0x24] = 1;
// \v has been blank since PostgreSQL 16; before, it was an error for the whole text.
for (const byte of [0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d]) BYTE_CLASS[byte] = ByteClass.SPACE;
BYTE_CLASS[0x27] = ByteClass.QUOTE;
BYTE_CLASS[0x22] = ByteClass.DOUBLE_QUOTE;
BYTE_CLASS[0x24] = ByteClass.DOLLAR;
BYTE_CLASS[0x2d] = ByteClass.DASH;
BYTE_CLASS[0x2f] = ByteClass.SLASH;
BYTE_CLASS[0x28] = ByteClass.OPEN;
BYTE_CLASS[0x29] = ByteClass.CLOSE;
BYTE_CLASS[0x3b] = ByteClass.SEMICOLON;

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const QUOTE = 0x27;
const DOUBLE_QUOTE = 0x22;
const AMPERSAND = 0x26;
const BACKSLASH = 0x5c;
const DASH = 0x2d;
const SLASH = 0x2f;
const STAR = 0x2a;
const DOLLAR = 0x24;

/** `i` is at the first dash. A line comment ends at the line's end, which is not part of it. */
export function skipLineComment(buffer: Buffer, i: number, end: number): number {
  for (let at = i + 2; at < end; at++) {
    const byte = buffer[at] as number;
    if (byte === LINE_FEED || byte === CARRIAGE_RETURN) return at;
  }
  return end;
}

/** `i` is at the slash of an opening slash-star; block comments nest. */
export function skipBlockComment(buffer: Buffer, i: number, end: number): number {
  let depth = 1;
  let at = i + 2;
  while (at < end - 1) {
    const byte = buffer[at] as number;
    if (byte === STAR && buffer[at + 1] === SLASH) {
      at += 2;
      if (--depth === 0) return at;
    } else if (byte === SLASH && buffer[at + 1] === STAR) {
      at += 2;
      depth++;
    } else {
      at++;
    }
  }
  return UNTERMINATED;
}

/** Over white space and comments to the next token, or `end`. */
export function skipBlank(buffer: Buffer, i: number, end: number): number {
  let at = i;
  while (at < end) {
    const byte = buffer[at] as number;
    const byteClass = BYTE_CLASS[byte] as number;
    if (byteClass === ByteClass.SPACE) {
      at++;
    } else if (byte === DASH && at + 1 < end && buffer[at + 1] === DASH) {
      at = skipLineComment(buffer, at, end);
    } else if (byte === SLASH && at + 1 < end && buffer[at + 1] === STAR) {
      at = skipBlockComment(buffer, at, end);
      if (at === UNTERMINATED) return UNTERMINATED;
    } else {
      return at;
    }
  }
  return end;
}

export function skipWord(buffer: Buffer, i: number, end: number): number {
  let at = i + 1;
  while (at < end && WORD_PART[buffer[at] as number] === 1) at++;
  return at;
}

/**
 * `i` is at the opening quote. With `escapes` a backslash takes the next byte along.
 * A doubled quote needs no care: it ends one string and begins the next, which runs by the same rules.
 */
function skipOneString(buffer: Buffer, i: number, end: number, escapes: boolean): number {
  for (let at = i + 1; at < end; at++) {
    const byte = buffer[at] as number;
    if (byte === QUOTE) return at + 1;
    if (byte === BACKSLASH && escapes) at++;
  }
  return UNTERMINATED;
}

/** Where a string goes on after its quote closed: right there (''), or behind blanks with a line's end among them; else -1. */
function continuation(buffer: Buffer, i: number, end: number, doubled: boolean): number {
  if (i < end && buffer[i] === QUOTE) return doubled ? i : -1;
  let newline = false;
  let at = i;
  while (at < end) {
    const byte = buffer[at] as number;
    if (byte === QUOTE) return newline ? at : -1;
    if (byte === LINE_FEED || byte === CARRIAGE_RETURN) {
      newline = true;
      at++;
    } else if (BYTE_CLASS[byte] === ByteClass.SPACE) {
      at++;
    } else if (byte === DASH && at + 1 < end && buffer[at + 1] === DASH) {
      at = skipLineComment(buffer, at, end);
    } else {
      return -1;
    }
  }
  return -1;
}

/** A string constant that runs by rules of its own (E'', U&'', B'', X''), with all its continuations; `i` is at the quote. */
function skipPrefixedString(buffer: Buffer, i: number, end: number, escapes: boolean, doubled: boolean): number {
  let at = i;
  for (;;) {
    const close = skipOneString(buffer, at, end, escapes);
    if (close === UNTERMINATED) return UNTERMINATED;
    at = continuation(buffer, close, end, doubled);
    if (at < 0) return close;
  }
}

/** A plain string constant: whatever continues it runs by the rules of the next plain string, so it may end here. */
export function skipPlainString(buffer: Buffer, i: number, end: number, standardStrings: boolean): number {
  return skipOneString(buffer, i, end, !standardStrings);
}

/** `i` is at the opening double quote; a doubled one goes on as the next quoted name and needs no care. */
export function skipQuotedName(buffer: Buffer, i: number, end: number): number {
  for (let at = i + 1; at < end; at++) {
    if (buffer[at] === DOUBLE_QUOTE) return at + 1;
  }
  return UNTERMINATED;
}

/** `i` is at a dollar: over the dollar-quoted string that begins there, or over the dollar alone. */
export function skipDollar(buffer: Buffer, i: number, end: number): number {
  let at = i + 1;
  // $tag$: a tag begins like an identifier and holds no dollar.
  if (at < end && BYTE_CLASS[buffer[at] as number] === ByteClass.WORD) {
    do at++;
    while (at < end && WORD_PART[buffer[at] as number] === 1 && buffer[at] !== DOLLAR);
  }
  if (at >= end || buffer[at] !== DOLLAR) return i + 1;
  const length = at + 1 - i;
  for (let found = at + 1; found + length <= end; found++) {
    if (buffer[found] !== DOLLAR) continue;
    let same = 1;
    while (same < length && buffer[found + same] === buffer[i + same]) same++;
    if (same === length) return found + length;
  }
  return UNTERMINATED;
}

/** Whether the bytes are the word, ASCII letters in any case. `word` is lower case and holds identifier bytes only. */
export function isWord(buffer: Buffer, from: number, to: number, word: Uint8Array): boolean {
  if (to - from !== word.length) return false;
  for (let k = 0; k < word.length; k++) {
    // Setting 0x20 folds letters and maps no other identifier byte onto one; "_" is stored as it comes out.
    if (((buffer[from + k] as number) | 0x20) !== word[k]) return false;
  }
  return true;
}

/** The form that isWord() compares with. */
export function word(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) | 0x20);
}

/**
 * `i` is at a word of one letter: over the string or name that it prefixes (E'' B'' X'' U&'' U&""), or over the letter.
 * (N'' is a plain string behind a word.)
 */
export function skipPrefixed(buffer: Buffer, i: number, end: number): number {
  const next = i + 1;
  if (next >= end) return next;
  const byte = buffer[next] as number;
  switch ((buffer[i] as number) | 0x20) {
    case 0x65: // e
      return byte === QUOTE ? skipPrefixedString(buffer, next, end, true, true) : next;
    case 0x62: // b
    case 0x78: // x
      return byte === QUOTE ? skipPrefixedString(buffer, next, end, false, false) : next;
    case 0x75: // u
      if (byte !== AMPERSAND || next + 1 >= end) return next;
      if (buffer[next + 1] === QUOTE) return skipPrefixedString(buffer, next + 1, end, false, true);
      return buffer[next + 1] === DOUBLE_QUOTE ? skipQuotedName(buffer, next + 1, end) : next;
    default:
      return next;
  }
}
