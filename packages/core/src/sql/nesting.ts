// How deep a text's parse tree may get, judged before it is parsed: the grammar's WebAssembly recurses on the stack of this
// thread, and when that ends, the instance is lost. Counts too much rather than too little.
import {
  BYTE_CLASS,
  ByteClass,
  isWord,
  skipBlank,
  skipDollar,
  skipPlainString,
  skipPrefixed,
  skipQuotedName,
  skipWord,
  UNTERMINATED,
  word,
} from "./lexical.js";

/** What an opening bracket or CASE counts, in tokens: a subselect takes four times the stack of an operator. */
const LEVEL_WEIGHT = 4;
/**
 * The grammar was seen to end at 1,960 nested subselects (11,760 as counted here) and at 7,381 NOTs or left-deep operators,
 * on the default stack of 984 kB. What people and programs write stays far below.
 */
export const DEEPEST = 3000;

const COMMA = 0x2c;
const DOT = 0x2e;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/** What stands between two of these hangs side by side below one list. */
const SEPARATORS = ["and", "or", "when", "then", "else"].map(word);
/** Left-deep, with lists between them. */
const CHAINS = ["join", "union", "intersect", "except"].map(word);
const AS = word("as");
const CASE = word("case");
const END = word("end");
const ATOMIC = word("atomic");

const isOneOf = (buffer: Buffer, from: number, to: number, words: readonly Uint8Array[]): boolean =>
  words.some((candidate) => isWord(buffer, from, to, candidate));

/** Whether the text may nest deeper than DEEPEST. */
export function isTooDeep(buffer: Buffer, start: number, end: number): boolean {
  // No byte counts more.
  if ((end - start) * LEVEL_WEIGHT <= DEEPEST) return false;
  const depth = new Depth();
  let label = false;
  for (let i = skipBlank(buffer, start, end); i !== UNTERMINATED && i < end; i = skipBlank(buffer, i, end)) {
    const byte = buffer[i] as number;
    const isLabel = label;
    label = false;
    switch (BYTE_CLASS[byte]) {
      case ByteClass.WORD: {
        const from = i;
        i = skipWord(buffer, i, end);
        if (i === from + 1) i = skipPrefixed(buffer, from, end);
        // Behind AS or a dot every word is a name.
        if (isLabel) depth.token();
        else if (isOneOf(buffer, from, i, SEPARATORS)) depth.separator();
        else if (isOneOf(buffer, from, i, CHAINS)) depth.chain(1);
        else if (isWord(buffer, from, i, CASE)) depth.open(true);
        else if (isWord(buffer, from, i, END)) depth.closeCase();
        // Where the body of a routine ends is not looked for.
        else if (isWord(buffer, from, i, ATOMIC)) depth.chain(LEVEL_WEIGHT);
        else depth.token();
        label = isWord(buffer, from, i, AS);
        break;
      }
      case ByteClass.QUOTE:
        i = skipPlainString(buffer, i, end, true);
        depth.token();
        break;
      case ByteClass.DOUBLE_QUOTE:
        i = skipQuotedName(buffer, i, end);
        depth.token();
        break;
      case ByteClass.DOLLAR:
        i = skipDollar(buffer, i, end);
        depth.token();
        break;
      case ByteClass.OPEN:
        depth.open(false);
        i++;
        break;
      case ByteClass.CLOSE:
        depth.close();
        i++;
        break;
      case ByteClass.SEMICOLON:
        depth.separator();
        i++;
        break;
      default:
        if (byte === COMMA) depth.separator();
        else if (byte === OPEN_BRACKET) depth.open(false);
        else if (byte === CLOSE_BRACKET) depth.close();
        else depth.token();
        label = byte === DOT;
        i++;
    }
    // The grammar refuses such a text before it builds anything.
    if (i === UNTERMINATED) return false;
    if (depth.now > DEEPEST) return true;
  }
  return false;
}

class Depth {
  /** What is around the open level, and the chains in it. */
  #base = 0;
  /** Tokens since the last separator: at worst each hangs below the one before. */
  #tokens = 0;
  readonly #bases: number[] = [];
  readonly #counts: number[] = [];
  readonly #cases: boolean[] = [];

  get now(): number {
    return this.#base + this.#tokens;
  }

  token(): void {
    this.#tokens++;
  }

  separator(): void {
    this.#tokens = 0;
  }

  chain(weight: number): void {
    this.#base += weight;
    this.#tokens = 0;
  }

  open(isCase: boolean): void {
    this.#bases.push(this.#base);
    this.#counts.push(this.#tokens);
    this.#cases.push(isCase);
    this.#base += this.#tokens + LEVEL_WEIGHT;
    this.#tokens = 0;
  }

  closeCase(): void {
    if (this.#cases.at(-1) === true) this.#pop();
    else this.#tokens++;
  }

  close(): void {
    // A CASE that is open in the brackets was not one.
    while (this.#cases.at(-1) === true) this.#pop();
    if (this.#cases.length > 0) this.#pop();
  }

  #pop(): void {
    this.#cases.pop();
    this.#base = this.#bases.pop() ?? 0;
    this.#tokens = (this.#counts.pop() ?? 0) + 1;
  }
}
