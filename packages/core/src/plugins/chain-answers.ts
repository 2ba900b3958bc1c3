// What plugins answered about the statements of one batch, in the order of the questions: a batch that has to wait for an answer is
// planned once more from the start when it has come, and nobody is asked twice. Only where some plugin may wait.
import type { Statement } from "../sql/statement.js";
import type { FailureCode } from "./plugin-failure.js";

export interface ChainAnswer {
  /** Whose it is: ChainMember.bit. */
  readonly bit: number;
  /** A verdict, or memberFailed. */
  readonly verdict: number;
  /** What the plugin wrote, for OutputFrame.load(); null: nothing that anybody reads. */
  readonly output: Uint8Array | null;
  /** With memberFailed: why, in words, */
  readonly failure: string;
  /** ... and as which error. */
  readonly failureCode: FailureCode;
  /** What it means was dealt with before: it is not counted and logged again. */
  heard: boolean;
}

/** Of one statement. */
export class AnswerRecord {
  readonly statement: Statement;
  /** 0: not asked about yet. */
  queryId = 0;
  readonly #answers: ChainAnswer[] = [];
  #next = 0;

  constructor(statement: Statement) {
    this.statement = statement;
  }

  rewind(): void {
    this.#next = 0;
  }

  /** What this plugin answered, if it was it who was asked next. */
  take(bit: number): ChainAnswer | null {
    const answer = this.#answers[this.#next];
    if (answer === undefined) return null;
    if (answer.bit !== bit) {
      // Somebody went out of service meanwhile: from here on everything may be different.
      this.#answers.length = this.#next;
      return null;
    }
    this.#next++;
    return answer;
  }

  /** The next one: taken as soon as it is there. */
  add(answer: ChainAnswer): void {
    this.#answers.push(answer);
    this.#next = this.#answers.length;
  }
}

export class ChainAnswers {
  readonly #records: AnswerRecord[] = [];
  #next = 0;

  /** The batch is planned from the start. */
  rewind(): void {
    this.#next = 0;
  }

  /** Of the statement that comes next. */
  open(statement: Statement): AnswerRecord {
    let record = this.#records[this.#next];
    if (record === undefined || !isSame(record.statement, statement)) {
      // The text may be read differently now (the grammar is there): no answer is taken for another statement's.
      this.#records.length = this.#next;
      record = new AnswerRecord(statement);
      this.#records.push(record);
    }
    this.#next++;
    record.rewind();
    return record;
  }
}

/** The cache may have dropped the statement and made it anew. */
function isSame(one: Statement, other: Statement): boolean {
  return one === other || ((one.facts === null) === (other.facts === null) && one.sql.equals(other.sql));
}
