// The worker's end of the channel to its supervisor: typed messages, console commands with their answers, and the end of
// the supervisor. Knows nothing of what the messages do.
import type { ConsoleResult, ToSupervisor, ToWorker, WorkerBoot } from "../supervisor/ipc.js";

/** What the supervisor says on its own; the first message and answers have methods of their own. */
export type WorkerOrder = Exclude<ToWorker, { kind: "boot" | "consoleResult" | "cancelled" }>;
export type OrderHandlers = { readonly [Kind in WorkerOrder["kind"]]: (order: Extract<WorkerOrder, { kind: Kind }>) => void };

export interface WorkerLink {
  /** The first message. Called at once when it has come already. */
  onBoot(handler: (boot: WorkerBoot) => void): void;
  /**
   * Handlers for every kind of order. Orders are held back until `ready` is sent, so that none comes half-way through the
   * boot; those that waited are given within that call, in their order.
   */
  onOrders(handlers: OrderHandlers): void;
  /** Does nothing once the supervisor is gone. */
  send(message: Exclude<ToSupervisor, { kind: "console" | "cancel" }>): void;
  /** Run a console command in the supervisor. Never rejects: a supervisor that is gone is an error result, too. */
  requestConsole(user: string, admin: boolean, sql: string): Promise<ConsoleResult>;
  /** Tell the other workers of a cancel request. Resolves when all of them have looked at it, or nobody can be told. */
  requestCancel(processId: number, secretKey: number): Promise<void>;
  /** The supervisor is gone: drain, then exit. Called once, at once when it is gone already. */
  onDisconnect(handler: () => void): void;
  /** Nothing keeps this process from ending any more. */
  close(): void;
}

/** The part of `process` that is used. */
export interface LinkProcess {
  readonly connected: boolean;
  send?(message: unknown, callback: (error: Error | null) => void): boolean;
  on(event: "message", listener: (message: unknown) => void): unknown;
  on(event: "disconnect", listener: () => void): unknown;
  on(signal: "SIGINT" | "SIGTERM" | "SIGHUP", listener: () => void): unknown;
  disconnect?(): void;
}

export function createWorkerLink(process: LinkProcess): WorkerLink {
  return new Link(process);
}

const supervisorGone: ConsoleResult = {
  ok: false,
  sqlstate: "57P01",
  message: "the supervisor is gone, this worker is stopping",
  hint: null,
};

class Link implements WorkerLink {
  readonly #process: LinkProcess;
  readonly #consoles = new Map<number, (result: ConsoleResult) => void>();
  readonly #cancels = new Map<number, () => void>();
  readonly #held: WorkerOrder[] = [];
  #boot: WorkerBoot | null = null;
  #onBoot: ((boot: WorkerBoot) => void) | null = null;
  #handlers: OrderHandlers | null = null;
  #onDisconnect: (() => void) | null = null;
  #ready = false;
  #gone = false;
  #nextConsole = 1;
  #nextCancel = 1;

  constructor(process: LinkProcess) {
    this.#process = process;
    this.#gone = !process.connected;
    process.on("message", (message) => this.#receive(message as ToWorker));
    process.on("disconnect", () => this.#disconnected());
    // Ctrl-C in a terminal, and service managers, signal every process of the group: the supervisor decides what it means.
    process.on("SIGINT", () => {});
    process.on("SIGHUP", () => {});
    process.on("SIGTERM", () => this.send({ kind: "terminate" }));
  }

  onBoot(handler: (boot: WorkerBoot) => void): void {
    this.#onBoot = handler;
    if (this.#boot !== null) handler(this.#boot);
  }

  onOrders(handlers: OrderHandlers): void {
    this.#handlers = handlers;
    this.#deliver();
  }

  send(message: ToSupervisor): void {
    // The callback takes the error of a channel that closed meanwhile; without one it would be thrown.
    if (!this.#gone) this.#process.send?.(message, () => {});
    if (message.kind === "ready") {
      this.#ready = true;
      this.#deliver();
    }
  }

  requestConsole(user: string, admin: boolean, sql: string): Promise<ConsoleResult> {
    if (this.#gone) return Promise.resolve(supervisorGone);
    const id = this.#nextConsole++;
    return new Promise((done) => {
      this.#consoles.set(id, done);
      this.send({ kind: "console", id, user, admin, sql });
    });
  }

  requestCancel(processId: number, secretKey: number): Promise<void> {
    if (this.#gone) return Promise.resolve();
    const id = this.#nextCancel++;
    return new Promise((done) => {
      this.#cancels.set(id, done);
      this.send({ kind: "cancel", id, processId, secretKey });
    });
  }

  onDisconnect(handler: () => void): void {
    this.#onDisconnect = handler;
    if (this.#gone) handler();
  }

  close(): void {
    if (this.#gone) return;
    this.#onDisconnect = null;
    this.#process.disconnect?.();
  }

  #receive(message: ToWorker): void {
    switch (message.kind) {
      case "boot":
        this.#boot = message;
        this.#onBoot?.(message);
        return;
      case "consoleResult": {
        const done = this.#consoles.get(message.id);
        this.#consoles.delete(message.id);
        done?.(message.result);
        return;
      }
      case "cancelled":
        this.#cancels.get(message.id)?.();
        this.#cancels.delete(message.id);
        return;
      default:
        this.#held.push(message);
        this.#deliver();
    }
  }

  #deliver(): void {
    if (!this.#ready || this.#handlers === null) return;
    for (let order = this.#held.shift(); order !== undefined; order = this.#held.shift()) dispatch(this.#handlers, order);
  }

  #disconnected(): void {
    if (this.#gone) return;
    this.#gone = true;
    for (const done of this.#consoles.values()) done(supervisorGone);
    this.#consoles.clear();
    for (const done of this.#cancels.values()) done();
    this.#cancels.clear();
    this.#onDisconnect?.();
  }
}

function dispatch<Order extends WorkerOrder>(handlers: OrderHandlers, order: Order): void {
  const handler = handlers[order.kind] as (order: Order) => void;
  handler(order);
}
