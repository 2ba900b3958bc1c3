// Makes a sequence that shows a difference as short as it gets: drops steps, then messages, then statements of strings, while the
// difference is still there.
import type { ClientMessage, ClientSequence, ClientStep } from "./client-messages.js";

export async function shrink(
  sequence: ClientSequence,
  differs: (candidate: ClientSequence) => Promise<boolean>,
  limitMs: number,
): Promise<ClientSequence> {
  const until = Date.now() + limitMs;
  let best = sequence;
  const attempt = async (candidate: ClientSequence): Promise<boolean> => {
    if (Date.now() > until || !candidate.every(isClosed) || !(await differs(candidate))) return false;
    best = candidate;
    return true;
  };
  for (let size = Math.floor(best.length / 2); size > 0; size = size > 1 ? Math.floor(size / 2) : 0) {
    for (let at = best.length - size; at >= 0; at--) await attempt(best.filter((_, i) => i < at || i >= at + size));
  }
  for (let step = best.length - 1; step >= 0; step--) {
    for (let at = (best[step]?.length ?? 0) - 1; at >= 0; at--) {
      const shorter = (best[step] as ClientStep).filter((_, i) => i !== at);
      await attempt(shorter.length === 0 ? best.filter((_, i) => i !== step) : replaced(best, step, shorter));
    }
  }
  for (let step = best.length - 1; step >= 0; step--) {
    for (let at = (best[step]?.length ?? 0) - 1; at >= 0; at--) {
      const message = best[step]?.[at] as ClientMessage;
      if (message[0] !== "Query") continue;
      let parts = message[1].split(";");
      for (let part = parts.length - 1; part >= 0 && parts.length > 1; part--) {
        const fewer = parts.filter((_, i) => i !== part);
        const shorter = (best[step] as ClientStep).map((old, i) => (i === at ? (["Query", fewer.join(";")] as const) : old));
        if (await attempt(replaced(best, step, shorter))) parts = fewer;
      }
    }
  }
  return best;
}

/** Through the pooler nothing is promised to be answered before Sync, Flush or a query says so. */
function isClosed(step: ClientStep): boolean {
  return ["Query", "Sync", "Flush", "CopyDone", "CopyFail"].includes(step.at(-1)?.[0] ?? "");
}

function replaced(sequence: ClientSequence, at: number, step: ClientStep): ClientSequence {
  return sequence.map((old, i) => (i === at ? step : old));
}
