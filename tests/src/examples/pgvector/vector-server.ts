// A PostgreSQL with the real pgvector behind a port: PGlite runs both as WebAssembly, in this process. One session serves all connections, so
// a pool before it has one connection. Knows of the protocol only where a message ends.
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";

const encryptionCodes: readonly number[] = [80_877_103, 80_877_104];
const cancelCode = 80_877_102;

export interface VectorServer {
  readonly port: number;
  /** Past the port; values of the only row. */
  row<T>(sql: string, values?: readonly unknown[]): Promise<T>;
  exec(sql: string): Promise<void>;
  stop(): Promise<void>;
}

/** Servers of their own, alike. */
export async function startVectorServers(count: number): Promise<readonly VectorServer[]> {
  const first = await PGlite.create({ extensions: { vector } });
  await first.exec("CREATE EXTENSION vector");
  const servers = [await listen(first)];
  // A copy takes a third of the time.
  while (servers.length < count) servers.push(await listen((await first.clone()) as PGlite));
  return servers;
}

async function listen(db: PGlite): Promise<VectorServer> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    serve(db, socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async row<T>(sql: string, values: readonly unknown[] = []) {
      const { rows } = await db.query<T>(sql, [...values]);
      const [row] = rows;
      if (row === undefined) throw new Error(`no row: ${sql}`);
      return row;
    },
    exec: async (sql) => void (await db.exec(sql)),
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await db.close();
    },
  };
}

/** Hands on whole messages, one after the other, and what is answered to each. */
function serve(db: PGlite, socket: Socket): void {
  let pending: Buffer = Buffer.alloc(0);
  let started = false;
  let work = Promise.resolve();
  socket.on("data", (bytes) => {
    pending = Buffer.concat([pending, bytes]);
    for (;;) {
      const sizeAt = started ? 1 : 0;
      if (pending.length < sizeAt + 8 - 4 * sizeAt) return;
      const size = sizeAt + pending.readInt32BE(sizeAt);
      if (pending.length < size) return;
      const message = pending.subarray(0, size);
      pending = pending.subarray(size);
      const code = started ? 0 : message.readInt32BE(4);
      if (encryptionCodes.includes(code)) socket.write("N");
      else if (code === cancelCode || message[0] === 0x58) socket.end();
      else {
        started = true;
        work = work.then(async () => {
          const answer = await db.execProtocolRaw(message);
          if (!socket.destroyed) socket.write(answer);
        });
        work.catch((error: unknown) => socket.destroy(error instanceof Error ? error : new Error(String(error))));
      }
    }
  });
}
