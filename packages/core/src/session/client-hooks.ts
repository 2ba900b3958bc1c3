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

  /** A startup packet has come. Who is let in must be reported by left(), whatever becomes of it. */
  connect(wire: Wire, id: number, parameters: ReadonlyMap<string, string>): ClientVerdict {
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
    const verdict = this.#hooks.clientConnect({
      session,
      askedUser: user,
      askedDatabase: database,
      peerName: wire.peerName,
      parameters,
    });
    this.#guests.set(id, { letIn: verdict.letIn, sinceMs: this.#clock.nowMs() });
    if (verdict.refusal !== null) this.left(verdict.session, false);
    return verdict;
  }

  /** `loggedIn`: there was a session. Once for each; more often does nothing. */
  left(session: ChainSession, loggedIn: boolean): void {
    const guest = this.#guests.get(session.id);
    if (guest === undefined) return;
    this.#guests.delete(session.id);
    this.#hooks.clientDisconnect(session, this.#clock.nowMs() - guest.sinceMs, loggedIn, guest.letIn);
  }
}
