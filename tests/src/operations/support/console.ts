// The console as an operator uses it: a connection to the database "pooler", commands, rows as objects.
import { columnsOf, errorIn, rowsOf } from "../../harness/backend-message.js";
import type { Pooler } from "../../harness/pooler.js";
import { connectWire } from "../../harness/wire-client.js";

export type ConsoleRow = Readonly<Record<string, string | null>>;

export interface Console {
  /** Rejects with an Error that carries `code` when the console refuses. */
  run(command: string): Promise<ConsoleRow[]>;
  end(): void;
}

/** For a pooler with `auth = "trust"` and a user "admin". */
export async function openConsole(pooler: Pick<Pooler, "port">, user = "admin"): Promise<Console> {
  const client = await connectWire({ port: pooler.port });
  await client.login({ user, database: "pooler" });
  return {
    async run(command) {
      const answer = await client.query(command);
      const error = errorIn(answer);
      if (error !== undefined) {
        throw Object.assign(new Error(error["M"]), { code: error["C"] });
      }
      const description = answer.find(({ type }) => type === "T");
      const names = description === undefined ? [] : columnsOf(description).map(({ name }) => name);
      return rowsOf(answer).map((row) => Object.fromEntries(names.map((name, index) => [name, row[index] ?? null])));
    },
    end: () => client.end(),
  };
}
