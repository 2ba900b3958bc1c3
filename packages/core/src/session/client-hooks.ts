// Tells plugins of clients that come and go. Made only when some plugin wants to know. Who was let in is remembered, so that every
// plugin that heard of a client hears exactly once that it has left.
import type { Clock } from "../base/clock.js";
import type { ChainSession } from "../plugins/types.js";
import type { ClientVerdict, PluginHooks } from "../plugins/types-hooks.js";
import type { Wire } from "../wire/wire.js";

interface Guest {
  readonly letIn: number;
  readonly sinceMs: number;
}

export class ClientHooks {
  readonly #hooks: PluginHooks;
  readonly #clock: Clock;
  /** By session id. */
  readonly #guests = new Map<number, Guest>();

  constructor(hooks: PluginHooks, clock: Clock) {
    this.#hooks = hooks;
    this.#clock = clock;
  }

  /**
   * A startup packet has come. Who is let in must be reported by left(), whatever becomes of it. `done` is called once: within this call,
   * which answers null then, or later. Then drop() has to be called when the client goes before that.
   */
  connect(
    wire: Wire,
    id: number,
    parameters: ReadonlyMap<string, string>,
    done: (verdict: ClientVerdict) => void,
  ): { drop(): void } | null {
    const user = parameters.get("user") ?? "";
    const database = parameters.get("database") || user;
    const session: ChainSession = {
      id,
      user,
      database,
      applicationName: parameters.get("application_name") ?? "",
      clientAddress: wire.remoteAddress,
      clientEncoding: "UTF8",
      tls: wire.tls,
      generation: 0,
      encoded: null,
    };
    const question = this.#hooks.clientConnect(
      { session, askedUser: user, askedDatabase: database, peerName: wire.peerName, parameters },
      (verdict) => {
        this.#remember(verdict);
        done(verdict);
      },
    );
    if (question === null) return null;
    return {
      drop: () => {
        const verdict = question.drop();
        this.#remember(verdict);
        this.left(verdict.session, false);
      },
    };
  }

  #remember({ session, letIn, refusal }: ClientVerdict): void {
    this.#guests.set(session.id, { letIn, sinceMs: this.#clock.nowMs() });
    if (refusal !== null) this.left(session, false);
  }

  /** `loggedIn`: there was a session. Once for each; more often does nothing. */
  left(session: ChainSession, loggedIn: boolean): void {
    const guest = this.#guests.get(session.id);
    if (guest === undefined) return;
    this.#guests.delete(session.id);
    this.#hooks.clientDisconnect(session, this.#clock.nowMs() - guest.sinceMs, loggedIn, guest.letIn);
  }
}
