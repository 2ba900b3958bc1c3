// Which cases are measured: the scenarios, as far as the command line asks for them.
import type { BenchOptions } from "./options.js";
import type { Case, Scenario } from "./scenarios/scenario.js";

export function planCases(scenarios: readonly Scenario[], options: BenchOptions): readonly Case[] {
  const chosen = options.scenarios.length === 0 ? scenarios : scenarios.filter(({ name }) => options.scenarios.includes(name));
  return chosen.flatMap((scenario) => {
    const protocols = options.protocols.length === 0 ? scenario.protocols : scenario.protocols.filter((p) => options.protocols.includes(p));
    const clients = options.clients.length === 0 || !scenario.hasFreeClients ? scenario.clients : options.clients;
    const sizes = scenario.sizes.length === 0 ? [null] : scenario.sizes;
    return protocols.flatMap((protocol) =>
      clients.flatMap((count) => sizes.map((size): Case => ({ scenario, protocol, clients: count, size }))),
    );
  });
}
