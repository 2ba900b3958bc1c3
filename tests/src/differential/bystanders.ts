// Other clients of the same pool: between the steps of a sequence they take servers, leave settings, prepared statements and errors
// behind, and look whether they still have their own.
import { errorIn, rowsOf } from "../harness/backend-message.js";
import type { WireClient } from "../harness/wire-client.js";
import { bytesOf, type ClientStep } from "./client-messages.js";
import type { Random } from "./random.js";

export interface Bystanders {
  /** Everyone who is not busy does something; nobody waits for it. */
  stir(): void;
  /** Resolves when nobody does anything; with what went wrong for them. */
  leave(): Promise<readonly string[]>;
}

export interface BystanderOptions {
  readonly count: number;
  readonly random: Random;
  readonly connect: () => Promise<WireClient>;
  /** They go after every visit: in session mode nobody else would get a server. */
  readonly visitOnly: boolean;
}

export function createBystanders({ count, random, connect, visitOnly }: BystanderOptions): Bystanders {
  const complaints: string[] = [];
  const clients: (WireClient | undefined)[] = [];
  const busy = new Map<number, Promise<void>>();

  const visit = async (who: number): Promise<void> => {
    const client = clients[who] ?? (await connect());
    clients[who] = client;
    for (let left = 1 + random.below(3); left > 0; left--) {
      const complaint = await act(client, who, random);
      if (complaint !== undefined) complaints.push(`bystander ${who}: ${complaint}`);
    }
    if (!visitOnly && random.percent(97)) return;
    clients[who] = undefined;
    if (random.percent(50)) client.reset();
    else client.end();
    await client.closed;
  };

  return {
    stir() {
      for (let who = 0; who < count; who++) {
        if (busy.has(who)) continue;
        const visited = visit(who)
          .catch((error: Error) => {
            complaints.push(`bystander ${who}: ${error.message}`);
          })
          .then(() => {
            busy.delete(who);
          });
        busy.set(who, visited);
      }
    },
    async leave() {
      await Promise.all(busy.values());
      for (const client of clients) client?.reset();
      await Promise.all(clients.map((client) => client?.closed));
      return complaints;
    },
  };
}

async function act(client: WireClient, who: number, random: Random): Promise<string | undefined> {
  const own = `bystander ${who}`;
  const kind = random.below(6);
  switch (kind) {
    case 0:
      await run(client, [["Query", `SET application_name = '${own}'; SET DateStyle = 'SQL'; SET work_mem = '9MB'`]], 1);
      return expectValue(client, "SHOW application_name", own);
    case 1:
      await run(
        client,
        [
          ["Query", "BEGIN; SET LOCAL TimeZone = 'Africa/Cairo'"],
          ["Query", `UPDATE noise SET w = '${own}' WHERE id = ${who + 1}`],
          ["Query", random.pick(["COMMIT", "ROLLBACK"])],
        ],
        3,
      );
      return undefined;
    case 2: {
      const answer = await run(
        client,
        [
          ["Close", "S", "s1"],
          ["Parse", "s1", `SELECT ${who}, $1::text`],
          ["Bind", "", "s1", [own]],
          ["Execute", "", 0],
          ["Sync"],
          ["Bind", "", "s1", [own]],
          ["Execute", "", 0],
          ["Sync"],
        ],
        2,
      );
      const rows = JSON.stringify(rowsOf(answer));
      return rows ===
        JSON.stringify([
          [String(who), own],
          [String(who), own],
        ])
        ? undefined
        : `s1 answered ${rows}`;
    }
    case 3:
      await run(
        client,
        [
          ["Query", "BEGIN; SELECT 1/0"],
          ["Query", "ROLLBACK"],
          ["Query", "SELECT 'not closed"],
        ],
        3,
      );
      return undefined;
    case 4:
      await run(client, [["Parse", "", "SELECT w FROM noise ORDER BY id"], ["Bind", "", "", []], ["Execute", "", 1], ["Sync"]], 1);
      return undefined;
    default:
      await run(client, [["Query", "RESET ALL"]], 1);
      return expectValue(client, "SHOW application_name", "");
  }
}

async function run(client: WireClient, step: ClientStep, readies: number): ReturnType<WireClient["until"]> {
  client.send(bytesOf(step));
  const answer = await client.until("Z");
  for (let left = readies - 1; left > 0; left--) answer.push(...(await client.until("Z")));
  return answer;
}

async function expectValue(client: WireClient, sql: string, expected: string): Promise<string | undefined> {
  const answer = await client.query(sql);
  const value = rowsOf(answer)[0]?.[0];
  return value === expected ? undefined : `${sql} answered ${value ?? errorIn(answer)?.["M"] ?? "nothing"} instead of "${expected}"`;
}
