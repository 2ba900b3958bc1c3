// Every scenario, in the order of the report.
import { createPgbenchScenarios } from "./pgbench-scenarios.js";
import { createRawScenarios } from "./raw-scenarios.js";
import type { Scenario } from "./scenario.js";
import { createTransferScenarios } from "./transfer-scenarios.js";

const all = [...createPgbenchScenarios(), ...createTransferScenarios(), ...createRawScenarios()];
const isGrowth = ({ name }: Scenario): boolean => name.startsWith("growth-");

export const allScenarios: readonly Scenario[] = [...all.filter((scenario) => !isGrowth(scenario)), ...all.filter(isGrowth)];

/** Has a course of its own: processes are started for it, and clients only stay connected. */
export const memoryScenarioName = "memory";
