// Multiplexing of one database: what its configuration allows, what is known of its statements, and what was counted. Counters outlive
// reloads. Knows no pools.
import type { MultiplexConfig } from "../config/types.js";
import { KindTable } from "../session/kind-table.js";
import { SharedTexts } from "../session/shared-texts.js";

/** Why a statement does not share a server, in the order in which it is looked for. */
export const Refusal = {
  /** In a transaction, or the session has something of its own. */
  SESSION: 0,
  /** The session's own time limits. */
  TIMEOUT: 1,
  /** The form of the batch: Flush, several statements, row limits, named portals, a Parse of its own name. */
  BATCH: 2,
  /** Not a statement that begins and ends in itself. */
  KIND: 3,
  INTO: 4,
  LOCKS: 5,
  FUNCTION: 6,
  EXCLUDED: 7,
  WRITE: 8,
  RELATION: 9,
  /** These run, with nobody before or behind them. */
  UNKNOWN: 10,
  SLOW: 11,
  LARGE: 12,
} as const;

export interface MultiplexCounters {
  /** Statements that shared a server, or could have. */
  rides: number;
  /** Those that were sent while others ran on the same server: they would have waited. */
  behind: number;
  /** Those that ran as prepared statements though their clients did not prepare them. */
  prepared: number;
  /** Sent again elsewhere: their server was lost or given up, or had lost their statement. */
  again: number;
  /** Moved to another server, away from one that took too long. */
  moved: number;
  /** Servers that were given up since a statement was not what it seemed. */
  takenOut: number;
  /** By Refusal.* */
  readonly refused: number[];
}

export class Multiplex {
  config: MultiplexConfig;
  kinds: KindTable;
  /** Null: nothing is prepared that clients do not prepare. */
  texts: SharedTexts | null;
  /** Grows whenever a statement ran that may have changed the schema. */
  schema = 0;
  readonly counters: MultiplexCounters;

  /** `serverStatements`: as many may be prepared on a server. */
  constructor(config: MultiplexConfig, counters: MultiplexCounters, serverStatements: number) {
    this.config = config;
    this.counters = counters;
    this.kinds = new KindTable({ functions: new Set(config.functions), never: new Set(config.never) });
    // The other half is for what clients prepare themselves.
    this.texts = config.prepare ? new SharedTexts(this.kinds, Math.ceil(serverStatements / 2)) : null;
  }

  /** Counts the reason (Refusal.*). */
  refuse(reason: number): null {
    const { refused } = this.counters;
    refused[reason] = (refused[reason] as number) + 1;
    return null;
  }
}

export function createMultiplexCounters(): MultiplexCounters {
  return { rides: 0, behind: 0, prepared: 0, again: 0, moved: 0, takenOut: 0, refused: Object.values(Refusal).map(() => 0) };
}
