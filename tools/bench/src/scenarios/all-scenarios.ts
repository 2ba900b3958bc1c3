// Every scenario, in the order of the report.
import { createPgbenchScenarios } from "./pgbench-scenarios.js";
import type { Scenario } from "./scenario.js";

export const allScenarios: readonly Scenario[] = createPgbenchScenarios();
