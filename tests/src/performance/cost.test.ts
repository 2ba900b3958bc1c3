// What a query costs a worker must not grow unnoticed: counts are compared with budgets.json. They are the same on every machine, and
// within a few percent from run to run. To renew them on purpose: POOLER_BUDGETS=update npx vitest run --project integration cost
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sharedShards } from "../harness/shared-cluster.js";
import { type Cost, type Measured, measureCosts, type Scenario, scenarios } from "./measure.js";

const file = fileURLToPath(new URL("budgets.json", import.meta.url));
const renews = process.env["POOLER_BUDGETS"] === "update";

const engines = ["sockets", "streams"] as const;
type Engine = (typeof engines)[number];

interface Budgets {
  /** Major version with which they were measured: another one's compiler and streams allocate otherwise. */
  node: number;
  readonly costs: Partial<Record<Engine, Partial<Record<Scenario, Cost>>>>;
}

const budgets = JSON.parse(readFileSync(file, "utf8")) as Budgets;
const nodeMajor = Number(process.versions.node.split(".")[0]);

/** How far a count may be above its budget: by chance, not by a change. */
const tolerance = {
  allocatedBytes: nodeMajor === budgets.node ? 0.12 : 0.5,
  functionCalls: 0.02,
  // How many events come with one call of epoll_wait() is up to the scheduler.
  nativeCalls: 0.15,
} as const satisfies Record<keyof Cost, number>;
/** Of function calls, where statements share servers: so is how many servers are looked at before one has room. */
const searchTolerance = 0.06;
const toleranceOf = (count: keyof Cost, scenario: Scenario): number =>
  count === "functionCalls" && scenario.endsWith("multiplexed") ? searchTolerance : tolerance[count];

afterAll(() => {
  if (!renews) return;
  budgets.node = nodeMajor;
  writeFileSync(file, `${JSON.stringify(budgets, null, 2)}\n`);
});

/** The heap is known to the page only, and now and then something is compiled. */
const slack: Cost = { allocatedBytes: 80, functionCalls: 0, nativeCalls: 0 };

describe.skipIf(process.platform !== "linux").each(engines)("one query with io = %s", (io) => {
  let measured: Record<Scenario, Measured>;

  beforeAll(async () => {
    measured = await measureCosts({ url: sharedShards()[0]?.primary ?? "", io });
  }, 300_000);

  test.each(scenarios)("costs no more than its budget: %s", (scenario) => {
    const { cost, details } = measured[scenario];
    if (renews) {
      budgets.costs[io] = { ...budgets.costs[io], [scenario]: cost };
      return;
    }
    const budget = budgets.costs[io]?.[scenario];
    expect(budget, `budgets.json has no costs for ${io}, ${scenario}`).toBeDefined();
    for (const count of ["functionCalls", "nativeCalls", "allocatedBytes"] as const) {
      const most = (budget?.[count] ?? 0) * (1 + toleranceOf(count, scenario)) + slack[count];
      expect(
        cost[count],
        `${count} of a query. Called most:\n${details
          .slice(0, 40)
          .map(({ name, perQuery }) => `  ${perQuery} ${name}`)
          .join("\n")}\n`,
      ).toBeLessThanOrEqual(most);
    }
  });
});
