// The engine that runs wherever Node does: node:net under every wire.
import net from "node:net";
import { PoolerError } from "../../base/errors.js";
import type { Logger } from "../../base/logger.js";
import type { WireEngine } from "../wire.js";
import { createServerContexts } from "./server-contexts.js";
import { StreamWire } from "./stream-wire.js";

/** Above this many queued bytes whoever feeds a wire is no longer read. */
const highMarkBytes = 128 * 1024;

export function createStreamsEngine(log: Logger): WireEngine {
  const contexts = createServerContexts();
  return {
    name: "streams",
    listen(descriptor, onAccept) {
      const server = net.createServer({ highWaterMark: highMarkBytes, allowHalfOpen: false, noDelay: true, keepAlive: true }, (socket) => {
        // A connection that was reset meanwhile has no address either, and must not pass for one from this machine.
        const wire = new StreamWire(socket, server.address() === null ? "unix" : "unknown", log, contexts);
        wire.guard(() => onAccept(wire));
      });
      // EMFILE and the like: the connection is lost, the listener is not.
      server.on("error", (error) => log.error({ error }, "accepting a connection failed"));
      server.listen({ fd: descriptor });
      return { close: () => void server.close() };
    },
    dial(target, reader, onDialed) {
      const unix = target.host.startsWith("/");
      // The types do not know that stream options pass through.
      const options: net.NetConnectOpts & { readonly highWaterMark: number } = unix
        ? { path: `${target.host}/.s.PGSQL.${target.port}`, highWaterMark: highMarkBytes }
        : { host: target.host, port: target.port, keepAlive: true, highWaterMark: highMarkBytes };
      const socket = net.connect(options);
      let settled = false;
      const settle = (error: Error | null): void => {
        if (settled) return;
        settled = true;
        clearTimeout(timeout);
        socket.removeListener("error", settle);
        if (error !== null) {
          socket.on("error", () => {});
          socket.destroy();
          onDialed(error, null);
          return;
        }
        const wire = new StreamWire(socket, unix ? "unix" : "unknown", log, contexts);
        wire.reader = reader;
        wire.guard(() => onDialed(null, wire));
      };
      const timeout = setTimeout(
        () => settle(new PoolerError("HOST_DOWN", `no answer from ${target.host}:${target.port} within ${target.timeoutMs} ms`)),
        target.timeoutMs === 0 ? 2 ** 31 - 1 : target.timeoutMs,
      );
      socket.once("error", settle);
      socket.once("connect", () => settle(null));
    },
    keepTime() {},
    lookElsewhere() {},
    defer(what) {
      // Node reads all sockets that have something first.
      setImmediate(() => {
        try {
          what.onDeferred();
        } catch (error) {
          what.onBug(error);
        }
      });
    },
  };
}
