// The same conversations with PostgreSQL and through the pooler, random ones and those that once showed a difference: every
// message, in its order, must be the same, and nothing may stay on a server.
//
//   POOLER_DIFFERENTIAL_SEED=1 POOLER_DIFFERENTIAL_COUNT=1000 npx vitest run src/differential     many more than by default
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Arena, startArena } from "./arena.js";
import { printed } from "./client-messages.js";
import { generateSequence } from "./generator.js";
import { knownSequences } from "./known-sequences.js";
import { shrink } from "./shrink.js";

const firstSeed = Number(process.env["POOLER_DIFFERENTIAL_SEED"] ?? 1);
const count = Number(process.env["POOLER_DIFFERENTIAL_COUNT"] ?? 25);
/** Instead of stopping at the first. */
const mostFailures = Number(process.env["POOLER_DIFFERENTIAL_FAILURES"] ?? 1);
const shrinkLimitMs = 30_000;

let arena: Arena;
beforeAll(async () => {
  arena = await startArena();
});
afterAll(() => arena.stop());

test.each(knownSequences)("$title", async ({ sequence }) => {
  expect(
    [...(await arena.differences(sequence, 1)), ...(await arena.differences(sequence, 2))]
      .map(({ configuration, report }) => `${configuration}: ${report}`)
      .join("\n\n"),
  ).toBe("");
});

test(`${count} random sequences from seed ${firstSeed} on are answered as by PostgreSQL`, { timeout: 60_000 + count * 5_000 }, async () => {
  const failures: string[] = [];
  for (let seed = firstSeed; seed < firstSeed + count && failures.length < mostFailures; seed++) {
    const sequence = generateSequence(seed);
    const [first] = await arena.differences(sequence, seed);
    if (first !== undefined) failures.push(await explain(sequence, seed, first));
  }
  expect(failures.join("\n\n")).toBe("");
});

async function explain(
  sequence: ReturnType<typeof generateSequence>,
  seed: number,
  { configuration, report }: Awaited<ReturnType<Arena["differences"]>>[number],
): Promise<string> {
  const among = [configuration];
  const shortest = await shrink(sequence, async (candidate) => (await arena.differences(candidate, seed, among)).length > 0, shrinkLimitMs);
  const [again] = await arena.differences(shortest, seed, among);
  return `seed ${seed}, configuration "${configuration}"\n${printed(shortest)}\n${again?.report ?? `(not seen again) ${report}`}`;
}
