// Sends a cancel request to a server on a connection of its own. The server is not lent again before that connection has
// ended, so that a late cancel cannot hit the next client's statement.
import { Request } from "../protocol/codes.js";
import { MessageWriter } from "../protocol/message-writer.js";
import type { WireEngine, WireReader } from "../wire/wire.js";
import type { Server } from "./server.js";

export interface CancelTarget {
  readonly host: string;
  readonly port: number;
  readonly tls: { readonly mode: "disable" | "require" | "verify-full"; readonly ca: string | null };
  readonly timeoutMs: number;
}

/** Resolves when that connection has ended: no statement that comes later is hit. */
export function cancelServer(engine: WireEngine, server: Server, target: CancelTarget): Promise<void> {
  server.cancelStarted();
  let tell: () => void;
  const over = new Promise<void>((resolve) => {
    tell = resolve;
  });
  let ended = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    clearTimeout(timeout);
    server.cancelEnded();
    tell();
  };
  const timeout = setTimeout(end, target.timeoutMs === 0 ? 10_000 : target.timeoutMs);
  const request = new MessageWriter(16)
    .begin(0)
    .int32(Request.CANCEL)
    .int32(server.identity.remoteProcessId)
    .int32(server.identity.remoteSecretKey)
    .end()
    .toBuffer();
  const reader: WireReader = { onBytes: () => {}, onDrain: () => {}, onClosed: end };
  engine.dial({ host: target.host, port: target.port, timeoutMs: target.timeoutMs }, reader, (_error, wire) => {
    if (wire === null) return end();
    if (target.tls.mode === "disable") {
      wire.write(request, 0, request.length);
      return;
    }
    const tlsRequest = new MessageWriter(8).begin(0).int32(Request.SSL).end().toBuffer();
    wire.reader = {
      onBytes(chunk, start, stop) {
        if (chunk[start] !== 0x53 /* S */ || stop - start !== 1) return wire.destroy();
        wire.reader = reader;
        wire.startTls({ side: "client", host: target.host, verify: target.tls.mode === "verify-full", ca: target.tls.ca }, () =>
          wire.write(request, 0, request.length),
        );
      },
      onDrain: () => {},
      onClosed: end,
    };
    wire.write(tlsRequest, 0, tlsRequest.length);
  });
  return over;
}
