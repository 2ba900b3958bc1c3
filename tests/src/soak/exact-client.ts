// A client of the soak that keeps account: how many statements it sent, how many transactions PostgreSQL must have ended for it, how many
// errors it was told of. It asks for nothing whose outcome it could not know.
import type { Random } from "../differential/random.js";
import { type BackendMessage, backendKeyIn, errorFields, errorIn, rowsOf } from "../harness/backend-message.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";
import { sendCancel } from "../multiplex/player.js";

export interface Account {
  /** Batches: simple queries, or extended messages up to Sync. */
  statements: number;
  /** Transactions that ended while the client was there. */
  transactions: number;
  /** Transactions that were open when the client left. */
  abandoned: number;
  errors: number;
  cancelled: number;
  connections: number;
}

export const emptyAccount = (): Account => ({ statements: 0, transactions: 0, abandoned: 0, errors: 0, cancelled: 0, connections: 0 });

const { parse, bind, describe, execute, sync, query } = messages;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export interface ExactGround {
  readonly port: number;
  readonly database: string;
  readonly account: Account;
  isOver(): boolean;
}

/** Comes, stays for some statements, leaves, comes again. Throws when an answer is not what it must be. */
export async function runExactClient(ground: ExactGround, name: string, random: Random): Promise<void> {
  while (!ground.isOver()) {
    const wire = await connectWire({ port: ground.port });
    wire.send(startupWithoutSettings(ground.database));
    const greeting = await wire.until("Z");
    ground.account.connections++;
    const client = new ExactClient(ground, wire, greeting, name, random);
    const turns = random.percent(30) ? 1 : 1 + random.below(100);
    for (let i = 0; i < turns && !ground.isOver(); i++) await client.turn();
    await client.leave();
  }
}

class ExactClient {
  readonly #ground: ExactGround;
  readonly #account: Account;
  readonly #wire: WireClient;
  readonly #key: { readonly processId: number; readonly secretKey: number };
  readonly #name: string;
  readonly #random: Random;
  #words = 0;
  #prepared: string | null = null;

  constructor(ground: ExactGround, wire: WireClient, greeting: readonly BackendMessage[], name: string, random: Random) {
    this.#ground = ground;
    this.#account = ground.account;
    this.#wire = wire;
    this.#key = backendKeyIn(greeting) ?? { processId: 0, secretKey: 0 };
    this.#name = name;
    this.#random = random;
  }

  /** One batch: one statement for the account, and with `ends` one transaction. */
  async #ask(ends: boolean, ...parts: readonly Uint8Array[]): Promise<BackendMessage[]> {
    this.#account.statements++;
    this.#wire.send(...parts);
    const answer = await this.#wire.until("Z");
    if (ends) this.#account.transactions++;
    if (errorIn(answer) !== undefined) this.#account.errors++;
    return answer;
  }

  #expect(answer: readonly BackendMessage[], rows: readonly (readonly string[])[]): void {
    if (errorIn(answer) === undefined && JSON.stringify(rowsOf(answer)) === JSON.stringify(rows)) return;
    throw new Error(`${this.#name}: expected ${JSON.stringify(rows)}, got ${answer.map(String).join(" ").slice(0, 300)}`);
  }

  #word(): string {
    return `${this.#name}.${++this.#words}`;
  }

  async turn(): Promise<void> {
    const word = this.#word();
    const act = this.#random.weighted<() => Promise<void>>([
      [30, async () => this.#expect(await this.#ask(true, query(`SELECT '${word}'`)), [[word]])],
      [20, async () => this.#expect(await this.#ask(true, ...extended(`SELECT $1::text`, [word])), [[word]])],
      [20, () => this.#runPrepared(word)],
      [10, () => this.#transact(word)],
      [5, async () => void (await this.#expectError(query(`SELECT "no ${word}"`), "42703"))],
      [3, async () => this.#expect(await this.#ask(true, query(`SELECT '${word}'; SELECT '${word}'`)), [[word], [word]])],
      [3, async () => this.#expect(await this.#ask(true, query(`SELECT '${word}' FROM pg_sleep(0.01)`)), [[word]])],
      [2, async () => void (await this.#ask(true, query(`COPY (SELECT '${word}' FROM generate_series(1, 100)) TO STDOUT`)))],
      [1, () => this.#cancel()],
      [3, () => pause(this.#random.below(30))],
    ]);
    await act();
  }

  async #expectError(bytes: Uint8Array, code: string): Promise<void> {
    const answer = await this.#ask(true, bytes);
    if (errorIn(answer)?.["C"] !== code) throw new Error(`${this.#name}: expected ${code}, got ${answer.map(String).join(" ")}`);
  }

  async #runPrepared(word: string): Promise<void> {
    if (this.#prepared === null) {
      this.#prepared = word;
      await this.#ask(true, parse({ name: "p", text: `SELECT '${word}', $1::text` }), describe({ type: "S", name: "p" }), sync());
    }
    const answer = await this.#ask(true, bind({ statement: "p", values: [word] }), describe({ type: "P" }), execute(), sync());
    this.#expect(answer, [[this.#prepared, word]]);
  }

  async #transact(word: string): Promise<void> {
    await this.#ask(false, query("BEGIN"));
    this.#expect(await this.#ask(false, query(`INSERT INTO soak_rows VALUES ('${word}') RETURNING word`)), [[word]]);
    if (this.#random.percent(20)) await this.#ask(false, query("SELECT 1/0"));
    await this.#ask(true, query(this.#random.percent(50) ? "COMMIT" : "ROLLBACK"));
  }

  /** Whether it was PostgreSQL that stopped it or the pooler, while it waited for a server, is told by the fields of the error. */
  async #cancel(): Promise<void> {
    const answer = this.#ask(false, query("SELECT pg_sleep(60)"));
    let isOver = false;
    const done = (): void => {
      isOver = true;
    };
    answer.then(done, done);
    do {
      await pause(this.#random.below(60));
      await sendCancel(this.#ground.port, this.#key);
      await Promise.race([answer.catch(() => {}), pause(300)]);
    } while (!isOver);
    const error = (await answer).find(({ type }) => type === "E");
    const fields = error === undefined ? {} : errorFields(error);
    if (fields["C"] !== "57014") throw new Error(`${this.#name}: expected 57014, got ${(await answer).map(String).join(" ")}`);
    if (fields["R"] !== undefined) this.#account.transactions++;
    this.#account.cancelled++;
  }

  /** Sometimes in the middle of a transaction. */
  async leave(): Promise<void> {
    if (this.#random.percent(15)) {
      await this.#ask(false, query("BEGIN"));
      await this.#ask(false, query(`INSERT INTO soak_rows VALUES ('${this.#word()}')`));
      this.#account.abandoned++;
    }
    if (this.#random.percent(30)) this.#wire.reset();
    else {
      if (this.#random.percent(50)) this.#wire.send(messages.end());
      this.#wire.end();
    }
    await this.#wire.closed;
  }
}

function extended(text: string, values: string[]): Uint8Array[] {
  return [parse({ text }), bind({ values }), describe({ type: "P" }), execute(), sync()];
}

/** Drivers ask for a client_encoding, for which the pooler would have to run a statement at each new server connection. */
function startupWithoutSettings(database: string): Buffer {
  const body = Buffer.from(`user\0app\0database\0${database}\0\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(body.length + 8, 0);
  head.writeInt32BE(196_608, 4);
  return Buffer.concat([head, body]);
}
