// The state "asking": a batch is put aside until a plugin has answered. What planning did to the session's portals is taken back, since the batch is
// planned once more from the start then. Everything else that planning does is done anew, or taken back by takeBack().
import { ChainAnswers } from "../plugins/chain-answers.js";
import type { RowHook } from "../plugins/row-hook.js";
import type { PendingQuestion } from "../plugins/types.js";
import { type Batch, endsWithSync } from "./batch.js";
import type { Observed } from "./ending.js";
import type { LocalPortal } from "./local-portal.js";
import type { Session } from "./session.js";

/** Thrown by planning: it goes no further before this is answered. */
export class QuestionPending extends Error {
  readonly question: PendingQuestion;

  constructor(question: PendingQuestion) {
    super(`plugin "${question.plugin}" has been asked`);
    this.question = question;
  }
}

/** The session's portals as they were before a batch was planned. */
export interface PortalMarks {
  restore(session: Session): void;
}

/** Which plugin it is, and what the session was before: an open batch stays active. */
export class PluginWait {
  #question: PendingQuestion | null = null;
  #stateBefore: "idle" | "active" = "idle";

  reset(): void {
    this.#question = null;
    this.#stateBefore = "idle";
  }

  /** What else the client sends waits in its inbox. */
  begin(session: Session, batch: Batch, question: PendingQuestion, marks: PortalMarks): void {
    marks.restore(session);
    if (batch.answering) {
      // Its beginning was answered here, and has left it.
      session.sendReply();
      batch.answering = false;
    }
    batch.endsWithSync = endsWithSync(batch.buffer, batch.start, batch.end);
    this.#question = question;
    this.#stateBefore = session.state === "active" ? "active" : "idle";
    session.state = "asking";
    question.onAnswer = () => session.onAnswer();
  }

  /** It has answered, or nobody wants to know any more. */
  end(session: Session): void {
    this.drop();
    session.state = this.#stateBefore;
  }

  drop(): void {
    this.#question?.drop();
    this.#question = null;
  }
}

/** Before a batch is planned in whose chain some plugin may wait. */
export function beginPlan(session: Session, batch: Batch): PortalMarks {
  batch.answers ??= new ChainAnswers();
  batch.answers.rewind();
  const { localPortals, rowPortals, observedPortals } = session;
  return localPortals === null && rowPortals === null && observedPortals === null ? noPortals : new Marks(session);
}

const noPortals: PortalMarks = {
  restore(session) {
    session.localPortals = session.rowPortals = session.observedPortals = null;
  },
};

class Marks implements PortalMarks {
  readonly #local: Map<string, LocalPortal> | null;
  readonly #rows: Map<string, RowHook> | null;
  readonly #observed: Map<string, Observed> | null;
  readonly #positions: readonly (readonly [LocalPortal, number])[];

  constructor({ localPortals, rowPortals, observedPortals }: Session) {
    this.#local = copyOf(localPortals);
    this.#rows = copyOf(rowPortals);
    this.#observed = copyOf(observedPortals);
    this.#positions = [...(localPortals?.values() ?? [])].map((portal) => [portal, portal.position] as const);
  }

  restore(session: Session): void {
    session.localPortals = this.#local;
    session.rowPortals = this.#rows;
    session.observedPortals = this.#observed;
    for (const [portal, position] of this.#positions) portal.position = position;
  }
}

function copyOf<Value>(map: Map<string, Value> | null): Map<string, Value> | null {
  return map === null ? null : new Map(map);
}
