// An HTTP API for the example that asks one: it answers at once or when the test says so, and remembers what it was asked.
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

export interface Question {
  readonly user: string;
  readonly database: string;
  readonly statement: string;
  readonly params: readonly unknown[];
}

export interface HeldQuestion {
  readonly question: Question;
  answer(opinion: object): void;
}

export interface ApiServer {
  readonly url: string;
  readonly asked: readonly Question[];
  /** How many connections were made to it. */
  readonly connections: number;
  /** The next question whose answer is left to the test, in the order of their coming. */
  held(): Promise<HeldQuestion>;
  stop(): Promise<void>;
}

/** `opinion`: null leaves the answer to the test. */
export async function startApi(opinion: (question: Question) => object | null): Promise<ApiServer> {
  const asked: Question[] = [];
  const waiting: HeldQuestion[] = [];
  const wanted: ((held: HeldQuestion) => void)[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    void read(request).then((question) => {
      asked.push(question);
      const answer = (given: object): void => {
        const body = JSON.stringify(given);
        response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) }).end(body);
      };
      const given = opinion(question);
      if (given !== null) {
        answer(given);
        return;
      }
      const held = { question, answer };
      const taker = wanted.shift();
      if (taker === undefined) waiting.push(held);
      else taker(held);
    });
  });
  server.keepAliveTimeout = 600_000;
  server.on("connection", () => {
    connections++;
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/check`,
    asked,
    get connections() {
      return connections;
    },
    held: () => {
      const held = waiting.shift();
      return held === undefined ? new Promise((resolve) => wanted.push(resolve)) : Promise.resolve(held);
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function read(request: IncomingMessage): Promise<Question> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString()) as Question;
}
