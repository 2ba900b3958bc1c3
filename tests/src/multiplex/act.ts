// What an act of the randomized test is, and what most of them use.
import { messages } from "../harness/wire-client.js";
import type { Player } from "./player.js";

export interface Act {
  readonly name: string;
  /** How often it is chosen. */
  readonly weight: number;
  /** "left": the client is gone and another comes in its place. */
  play(player: Player): Promise<"left" | undefined>;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
export const quiet = async (work: Promise<unknown>): Promise<undefined> => {
  await work;
  return undefined;
};

const { parse, bind, describe, execute, sync } = messages;

export const batch = (text: string, values: string[] = []): Uint8Array[] => [
  parse({ text }),
  bind({ values }),
  describe({ type: "P" }),
  execute(),
  sync(),
];
