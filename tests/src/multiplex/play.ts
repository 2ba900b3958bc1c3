// One place at which clients come and go, each doing what comes into its head, until the match is over.
import { createRandom } from "../differential/random.js";
import { acts } from "./acts.js";
import { type Ground, Player, Refused } from "./player.js";

export interface Match {
  readonly seed: number;
  isOver(): boolean;
  /** What went wrong: where, and what that client had done before. */
  readonly failures: string[];
  /** How often there was no server. */
  refusals: number;
}

const choices = acts.map((act) => [act.weight, act] as const);

export async function playAt(ground: Ground, place: number, match: Match): Promise<void> {
  for (let life = 0; !match.isOver(); life++) {
    const player = new Player(ground, `c${place}.${life}`, createRandom(match.seed + place * 7919 + life * 104_729));
    try {
      await player.connect();
      while (!match.isOver()) {
        const act = player.random.weighted(choices);
        player.note(`— ${act.name}`);
        const left = await act.play(player);
        ground.acts.set(act.name, (ground.acts.get(act.name) ?? 0) + 1);
        if (left !== undefined) break;
      }
    } catch (error) {
      const { message } = error as Error;
      // Without its server a client that was pinned is closed.
      if (error instanceof Refused || (ground.losesServers && message.startsWith("The connection "))) {
        match.refusals++;
        await new Promise((resolve) => setTimeout(resolve, 50));
      } else match.failures.push(`${ground.database}, client ${player.tag}: ${message}\n    ${player.history.join("\n    ")}`);
    }
    player.leave();
  }
}
