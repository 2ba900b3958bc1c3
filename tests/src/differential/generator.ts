// Makes up what a client could send, from a seed. Leaves out what docs/pooling.md says is different through the pooler: each such
// place says so.
import type { ClientMessage, ClientSequence, ClientStep, ParameterValue } from "./client-messages.js";
import { createRandom, type Random } from "./random.js";
import { copyStatement, parameterized, statement, statementAlone } from "./statements.js";

const statementNames = ["", "s1", "s2", "S1", "é"];
const portalNames = ["", "", "p1", "p2"];

export function generateSequence(seed: number): ClientSequence {
  return new Generator(createRandom(seed)).sequence();
}

class Generator {
  readonly #random: Random;
  /** What was parsed under a name last, to bind something that fits most of the time. */
  readonly #parsed = new Map<string, readonly ParameterValue[]>();

  constructor(random: Random) {
    this.#random = random;
  }

  sequence(): ClientSequence {
    const steps: ClientStep[] = [];
    const count = 4 + this.#random.below(14);
    while (steps.length < count) steps.push(...this.#steps());
    // Whatever was open is over: the connection can be compared and left.
    steps.push([["Sync"]], [["Query", "ROLLBACK"]], [["Query", "SELECT 'the end'"]]);
    return steps;
  }

  #steps(): ClientStep[] {
    const random = this.#random;
    return random.weighted<() => ClientStep[]>([
      [30, () => [[["Query", this.#simple()]]]],
      [8, () => this.#transaction()],
      [25, () => [this.#batch()]],
      [8, () => [[...this.#batch(), ...this.#batch(), ...(random.percent(50) ? this.#batch() : [])]]],
      [6, () => [Array.from({ length: 2 + random.below(3) }, (): ClientMessage => ["Query", this.#simple()])]],
      [3, () => [random.percent(50) ? [...this.#batch(), ["Query", this.#simple()]] : [["Query", this.#simple()], ...this.#batch()]]],
      [10, () => this.#flushed()],
      [6, () => [this.#copy()]],
      [4, () => [[["Query", statementAlone(random)]]]],
      [2, () => [this.#alone()]],
      [1, () => [[...this.#soup(4), ["Query", this.#simple()]]]],
      [1, () => [[["Sync"]]]],
    ])();
  }

  /** Under a name that nothing else uses: DEALLOCATE beside other statements is refused. */
  #alone(): ClientMessage[] {
    return [
      ["Close", "S", "alone"],
      ["Parse", "alone", statementAlone(this.#random)],
      ["Bind", "", "alone", []],
      ["Execute", "", 0],
      ["Sync"],
    ];
  }

  #simple(): string {
    const random = this.#random;
    const separator = random.pick(["; ", ";", ";\n", " ; /* ; */ "]);
    const count = random.weighted([
      [70, 1],
      [12, 2],
      [10, 3],
      [6, 4],
      [2, 0],
    ]);
    if (count === 0) return random.pick(["", ";", " ", "-- nothing", ";;"]);
    return Array.from({ length: count }, () => statement(random)).join(separator) + random.pick(["", "", "", ";", " "]);
  }

  #transaction(): ClientStep[] {
    const random = this.#random;
    const steps: ClientStep[] = [
      [["Query", random.pick(["BEGIN", "begin", "START TRANSACTION", "BEGIN ISOLATION LEVEL REPEATABLE READ"])]],
    ];
    for (let left = random.below(5); left > 0; left--) steps.push(random.percent(65) ? [["Query", statement(random)]] : this.#batch());
    steps.push([["Query", random.pick(["COMMIT", "COMMIT", "END", "ROLLBACK", "COMMIT AND CHAIN"])]]);
    return steps;
  }

  /** Extended messages up to Sync. */
  #batch(): ClientMessage[] {
    const random = this.#random;
    const name = random.pick(statementNames);
    const run = (): ClientMessage[] => this.#run(name);
    const messages = random.weighted<() => ClientMessage[]>([
      [30, () => [this.#parse(name), ...run()]],
      [18, run],
      [8, () => [this.#parse(name)]],
      [8, () => [this.#parse(name), ["Describe", "S", name]]],
      [10, () => [["Close", "S", name], this.#parse(name), ...run()]],
      [8, () => [this.#parse(name), ...run(), ["Close", "S", name]]],
      [6, () => [this.#parse(name), ...run(), ...run()]],
      [8, () => [this.#parse(""), ...this.#run(""), this.#parse(""), ...this.#run("")]],
      [14, () => this.#soup(1 + random.below(8))],
    ])();
    return [...messages, ["Sync"]];
  }

  /** Bind, maybe Describe, Execute of one statement. */
  #run(name: string): ClientMessage[] {
    const random = this.#random;
    const portal = random.pick(portalNames);
    const messages: ClientMessage[] = [this.#bind(portal, name)];
    if (random.percent(10)) messages.unshift(["Describe", "S", name]);
    if (random.percent(50)) messages.push(["Describe", "P", portal]);
    messages.push(this.#execute(portal));
    if (random.percent(15)) messages.push(this.#execute(portal));
    if (portal !== "" && random.percent(50)) messages.push(["Close", "P", portal]);
    return messages;
  }

  #soup(count: number): ClientMessage[] {
    return Array.from({ length: count }, () => this.#any());
  }

  #any(): ClientMessage {
    const random = this.#random;
    const name = random.pick(statementNames);
    const portal = random.pick(portalNames);
    return random.weighted<() => ClientMessage>([
      [20, () => this.#parse(name)],
      [25, () => this.#bind(portal, name)],
      [8, () => ["Describe", "S", name]],
      [8, () => ["Describe", "P", portal]],
      [25, () => this.#execute(portal)],
      [8, () => ["Close", "S", name]],
      [5, () => ["Close", "P", portal]],
    ])();
  }

  /** Batches in pieces, with Flush at the end of each but the last. */
  #flushed(): ClientStep[] {
    const random = this.#random;
    const steps: ClientStep[] = [];
    for (let left = 1 + random.below(3); left > 0; left--) {
      const name = random.pick(statementNames);
      const messages = random.percent(60) ? [this.#parse(name), ...this.#run(name)] : this.#soup(1 + random.below(3));
      steps.push([...messages, ["Flush"]]);
    }
    steps.push([...(random.percent(40) ? this.#soup(2) : []), ["Sync"]]);
    return steps;
  }

  #copy(): ClientMessage[] {
    const random = this.#random;
    const { sql, lines } = copyStatement(random);
    const data: ClientMessage[] = lines.map((line) => ["CopyData", line]);
    const end: ClientMessage = random.percent(85) ? ["CopyDone"] : ["CopyFail", "the client thought better of it"];
    // One more than is asked for is ignored; one less would make the next query a part of the COPY.
    if (random.percent(60)) return [["Query", sql], ...data, end, ["CopyDone"]];
    const name = random.pick(statementNames);
    const run: ClientMessage[] = [
      ["Parse", name, sql],
      ["Bind", "", name, []],
      ["Execute", "", 0],
    ];
    this.#parsed.set(name, []);
    return random.percent(50) ? [...run, ...data, end, ["Sync"]] : [...run, ["Sync"], ...data, end, ["Sync"]];
  }

  #parse(name: string): ClientMessage {
    const random = this.#random;
    if (random.percent(50)) {
      const { sql, values } = parameterized(random);
      this.#parsed.set(name, values);
      return ["Parse", name, sql];
    }
    this.#parsed.set(name, []);
    // A Parse alone of a text that some server has taken before is answered by the pooler: tables that come and go would show that.
    const parsed = statement(random);
    if (/extra|passing|made/.test(parsed)) return this.#parse(name);
    return ["Parse", name, random.percent(3) ? random.pick(["", "SELECT 1; SELECT 2", ";"]) : parsed];
  }

  #bind(portal: string, name: string): ClientMessage {
    const random = this.#random;
    const known = this.#parsed.get(name) ?? [];
    const values = random.percent(4) ? ["1"] : known.map((value) => (random.percent(8) ? null : value));
    return random.percent(15) ? ["Bind", portal, name, values, "binary"] : ["Bind", portal, name, values];
  }

  #execute(portal: string): ClientMessage {
    return ["Execute", portal, this.#random.percent(25) ? 1 + this.#random.below(3) : 0];
  }
}
