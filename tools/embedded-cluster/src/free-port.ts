// A port that nobody listens on at this moment. Somebody may take it before it is used: the caller tries again then.
import { createServer } from "node:net";
import { ClusterError } from "./cluster-error.js";

/** One that is free on the loopback address: `preferred` if it is, else any. */
export async function findFreePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && (await probe(preferred)) === preferred) {
    return preferred;
  }
  const port = await probe(0);
  if (port === undefined) {
    throw new ClusterError("The system gave no free port.");
  }
  return port;
}

function probe(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : undefined));
    });
  });
}
