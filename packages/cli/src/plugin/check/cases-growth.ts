// Frames of later versions of the contract, with longer structs and larger strides: the answers must be those of this version.
import { createAsker } from "./asker.js";
import type { BatteryCase } from "./battery-types.js";
import { breach } from "./breach.js";
import { shorten } from "./cases-questions.js";
import { parameterSets, usualInput } from "./questions.js";

export function growthCases(): readonly BatteryCase[] {
  return [8, 64].map((growth) => ({
    group: "later versions",
    title: `asked with structs that are ${growth} bytes longer`,
    run: (context) => {
      // The pooler's own code writes the output of a script.
      const isScript = context.plugin.info.sdk === "javascript";
      for (const text of context.texts) {
        const input = { ...usualInput(context.statement(text)), parameters: parameterSets[4]?.parameters ?? [] };
        const answer = (longer: number): string =>
          context.withState(
            (state) => createAsker(context, state).ask(input, { growth: longer, outputGrowth: isScript ? 0 : longer }).digest,
          );
        const plain = answer(0);
        // One that depends on the time or on chance cannot be compared.
        if (answer(0) !== plain) continue;
        const longer = answer(growth);
        if (longer !== plain) throw breach(`asked about ${shorten(text)}: it answered ${shorten(longer)} instead of ${shorten(plain)}`);
      }
    },
  }));
}
