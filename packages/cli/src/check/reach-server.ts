// Is there a PostgreSQL server at this address, and does it speak TLS as the configuration wants? Logs in nowhere.
import { connect as connectSocket, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { HostConfig } from "@pooler/core";

/** null: all is well; else what is wrong, in words. */
export async function reachServer(host: HostConfig, timeoutMs: number): Promise<string | null> {
  const socket = host.host.startsWith("/")
    ? connectSocket({ path: `${host.host}/.s.PGSQL.${host.port}` })
    : connectSocket({ host: host.host, port: host.port });
  // 0 means no limit, which a check cannot wait for.
  const timer = setTimeout(
    () => socket.destroy(new Error(`it did not answer within ${timeoutMs || longestWaitMs} ms`)),
    timeoutMs || longestWaitMs,
  );
  try {
    await once(socket, "connect");
    return await talk(socket, host);
  } catch (cause) {
    return reason(cause);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

const longestWaitMs = 30_000;

// Int32 length, Int32 1234 5679: every PostgreSQL server answers this with one byte, before anyone logs in.
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

async function talk(socket: Socket, host: HostConfig): Promise<string | null> {
  if (host.host.startsWith("/")) return null;
  const answered = firstByte(socket);
  socket.write(sslRequest);
  const answer = await answered;
  if (answer !== "S" && answer !== "N") return "something answers there, but it is not PostgreSQL";
  if (host.tls.mode === "disable") return null;
  if (answer === "N") return `sslmode=${host.tls.mode}, but the server has TLS switched off`;
  return shakeHands(socket, host);
}

function shakeHands(socket: Socket, host: HostConfig): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const secure = connectTls({
      socket,
      rejectUnauthorized: host.tls.mode === "verify-full",
      ...(isIP(host.host) === 0 ? { servername: host.host } : { host: host.host }),
      ...(host.tls.ca === null ? {} : { ca: host.tls.ca }),
    });
    secure.once("secureConnect", () => resolve(null));
    secure.once("error", reject);
  });
}

function firstByte(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("it closed the connection at once")));
    socket.once("data", (chunk: Buffer) => {
      // TLS reads the socket from here on.
      socket.pause();
      socket.removeAllListeners();
      resolve(String.fromCharCode(chunk[0] ?? 0));
    });
  });
}

function once(socket: Socket, event: "connect"): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once(event, () => {
      socket.removeListener("error", reject);
      resolve();
    });
  });
}

function reason(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  switch (code) {
    case "ECONNREFUSED":
      return "nothing listens there (connection refused)";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "its name cannot be resolved";
    case "ENOENT":
      return "there is no such socket";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "there is no way to it (unreachable)";
    default:
      return cause instanceof Error ? cause.message : String(cause);
  }
}
