// Tells when everything that a client's messages make a server answer has come, without a look at the clock. Follows the message
// flow of https://www.postgresql.org/docs/current/protocol-flow.html: what is skipped after an error, and what COPY takes in.
import type { BackendMessage } from "../harness/backend-message.js";
import type { ClientMessage, ClientStep } from "./client-messages.js";

export class AwaitedReplies {
  readonly #sent: ClientMessage[] = [];
  /** The message that is being answered. */
  #current: ClientMessage | null = null;
  #skipping = false;
  #copyIn = false;

  sent(step: ClientStep): void {
    this.#sent.push(...step);
    this.#advance();
  }

  /** Nothing more comes before the client sends something. */
  get allThere(): boolean {
    return this.#sent.length === 0 && (this.#current === null || this.#copyIn);
  }

  received({ type }: BackendMessage): void {
    const current = this.#current;
    if (current === null || type === "N" || type === "S" || type === "A") return;
    const isExtended = current[0] !== "Query" && current[0] !== "Sync";
    if (type === "G") this.#copyIn = true;
    if (type === "E") {
      this.#copyIn = false;
      if (isExtended) this.#skipping = true;
    }
    if (type === "Z" || (isExtended && "123TnCIsE".includes(type))) this.#current = null;
    this.#advance();
  }

  #advance(): void {
    while (this.#sent.length > 0 && (this.#current === null || this.#copyIn)) {
      const [kind] = this.#sent[0] as ClientMessage;
      if (this.#copyIn) {
        if (kind === "CopyDone" || kind === "CopyFail") this.#copyIn = false;
      } else if (kind === "Sync" || (!this.#skipping && isAnswered(kind))) {
        this.#current = this.#sent[0] as ClientMessage;
        this.#skipping = false;
      }
      this.#sent.shift();
    }
  }
}

function isAnswered(kind: ClientMessage[0]): boolean {
  return kind !== "Flush" && kind !== "CopyData" && kind !== "CopyDone" && kind !== "CopyFail";
}
