// A port that nobody listens on at this moment. Somebody may take it before the server does: the caller tries again then.
import { createServer } from "node:net";
import { ClusterError } from "./cluster-error.js";

export function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        if (typeof address === "object" && address !== null) {
          resolve(address.port);
        } else {
          reject(new ClusterError("The system gave no free port."));
        }
      });
    });
  });
}
