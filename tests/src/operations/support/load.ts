// Clients that run one statement after the other until they are told to stop, and keep account of what became of each.
import pg from "pg";

export interface LoadOptions {
  readonly url: string;
  readonly clients: number;
  /** Runs once a round; what it throws is counted by SQLSTATE or system error. */
  round(client: pg.Client, worker: number, round: number): Promise<void>;
}

export interface Load {
  readonly done: number;
  /** How often each SQLSTATE or system error came. */
  readonly errors: Readonly<Record<string, number>>;
  readonly messages: ReadonlySet<string>;
  /** Connections that were closed under a client, which then made a new one. */
  readonly reconnects: number;
  /** Resolves when so many more rounds were done. */
  more(rounds: number): Promise<void>;
  /** Resolves when every client has come to the end of its round. */
  stop(): Promise<void>;
}

export function startLoad({ url, clients, round }: LoadOptions): Load {
  const errors: Record<string, number> = {};
  const messages = new Set<string>();
  const waiting: { readonly at: number; readonly tell: () => void }[] = [];
  let done = 0;
  let reconnects = 0;
  let isStopping = false;

  const note = (error: unknown): void => {
    const { code, message } = error as { code?: string; message: string };
    const key = code ?? message;
    errors[key] = (errors[key] ?? 0) + 1;
    messages.add(message);
  };
  const count = (): void => {
    done++;
    for (const waiter of waiting.filter(({ at }) => at <= done)) {
      waiting.splice(waiting.indexOf(waiter), 1);
      waiter.tell();
    }
  };
  const run = async (worker: number): Promise<void> => {
    let rounds = 0;
    for (let connections = 0; !isStopping; connections++) {
      if (connections > 0) {
        reconnects++;
        // Nobody tries again at once for ever.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const client = new pg.Client(url);
      let isOpen = true;
      client.on("error", () => {});
      client.on("end", () => {
        isOpen = false;
      });
      try {
        await client.connect();
        while (!isStopping && isOpen) {
          try {
            await round(client, worker, rounds++);
            count();
          } catch (error) {
            note(error);
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        }
      } catch (error) {
        note(error);
      }
      await client.end().catch(() => {});
    }
  };
  const all = Array.from({ length: clients }, (_, worker) => run(worker));

  return {
    get done() {
      return done;
    },
    get reconnects() {
      return reconnects;
    },
    errors,
    messages,
    more: (rounds) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${rounds} more rounds were not done in 20 s: ${JSON.stringify(errors)}`)), 20_000);
        waiting.push({
          at: done + rounds,
          tell: () => {
            clearTimeout(timer);
            resolve();
          },
        });
      }),
    async stop() {
      isStopping = true;
      await Promise.all(all);
    },
  };
}
