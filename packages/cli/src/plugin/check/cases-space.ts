// Answers with little room: nothing is written behind it, and what is fetched into more room is the same answer.
import { constants } from "@pooler/plugin-abi";
import { createAsker } from "./asker.js";
import type { BatteryCase } from "./battery-types.js";
import { Breach } from "./breach.js";
import { shorten } from "./cases-questions.js";
import { smallestOutput } from "./plugin-under-check.js";
import { usualInput } from "./questions.js";

const rooms = [0, 8, 24, 64, 200, 1000, 4096].map((more) => smallestOutput + more);

export function spaceCases(): readonly BatteryCase[] {
  return rooms.map((capacity) => ({
    group: "space",
    title: `answering into ${capacity} bytes`,
    run: (context) => {
      for (const text of context.texts) {
        const input = usualInput(context.statement(text));
        try {
          context.withState((state) => createAsker(context, state).ask(input, { capacity }));
          // A prepared one: intercepts give their columns.
          const prepared = { ...input, flags: input.flags | constants.POOLER_PREPARE_ONLY, protocol: constants.POOLER_PROTOCOL_EXTENDED };
          context.withState((state) => createAsker(context, state).ask(prepared, { capacity }));
        } catch (cause) {
          throw cause instanceof Breach ? cause.at(`asked about ${shorten(text)}`) : cause;
        }
      }
    },
  }));
}
