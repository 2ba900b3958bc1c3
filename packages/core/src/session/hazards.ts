// What a statement would leave in a session, and what the database's configuration says to that: refuse it, or let the
// server stay with the client. Only transaction mode has to care.
import { PoolerError } from "../base/errors.js";
import type { OnSessionState } from "../config/types.js";
import { Hazard } from "../sql/lexer.js";

/** Not refused, but the server is cleaned before anyone else has it. */
const CLEANED_AFTERWARDS = Hazard.OPAQUE | Hazard.DISGUISED_NAME;

const names: readonly (readonly [number, string])[] = [
  [Hazard.TEMP_OBJECT, "a temporary object"],
  [Hazard.LISTEN, "LISTEN"],
  [Hazard.ADVISORY_LOCK, "a session-level advisory lock"],
  [Hazard.SQL_PREPARE, "SQL-level PREPARE"],
  [Hazard.SQL_EXECUTE, "SQL-level EXECUTE"],
  [Hazard.HOLD_CURSOR, "a cursor WITH HOLD"],
  [Hazard.SET_CONFIG, "set_config() for the session"],
  [Hazard.LOAD, "LOAD"],
  [Hazard.SEQUENCE_STATE, "currval() or lastval() outside a transaction"],
  [Hazard.SESSION_FUNCTION, "a function that keeps state in the session"],
];

export interface HazardVerdict {
  readonly unclear: boolean;
  readonly pins: boolean;
}

const harmless: HazardVerdict = { unclear: false, pins: false };
const unclear: HazardVerdict = { unclear: true, pins: false };

/** `together`: the statement runs in one transaction with others, so that currval() sees what they did. Throws SESSION_STATE. */
export function judgeHazards(found: number, policy: OnSessionState, together: boolean): HazardVerdict {
  if (found === 0) return harmless;
  const hazards = together ? found & ~Hazard.SEQUENCE_STATE : found;
  const cleaned = (hazards & CLEANED_AFTERWARDS) !== 0;
  const stays = hazards & ~CLEANED_AFTERWARDS;
  if (stays === 0) return cleaned ? unclear : harmless;
  if (policy === "pin") return { unclear: true, pins: true };
  const what = names.filter(([bit]) => (stays & bit) !== 0).map(([, name]) => name);
  throw new PoolerError(
    "SESSION_STATE",
    `${what.join(", ")} cannot be used in transaction pooling: it outlives the transaction in one server's session`,
    {
      hint: 'Use a form that ends with the transaction (pg_advisory_xact_lock, set_config(…, true), CREATE TEMP TABLE … ON COMMIT DROP), set on_session_state = "pin" for the database, or use pool_mode = "session".',
    },
  );
}
