// Chooses the engine that the configuration asks for. The rest of the worker knows the interface alone.
import { PoolerError } from "../base/errors.js";
import type { Logger } from "../base/logger.js";
import type { IoEngine } from "../config/types.js";
import { createSocketsEngine } from "./sockets/sockets-engine.js";
import { createStreamsEngine } from "./streams/streams-engine.js";
import type { WireEngine } from "./wire.js";

/** What makes the sockets engine, for tests that have it fail. */
type MakeSockets = (log: Logger) => WireEngine;

/** Throws PoolerError NOT_SUPPORTED when `io` is "sockets" and they do not work here; "auto" takes streams then, and says why. */
export function createWireEngine(io: IoEngine, log: Logger, makeSockets: MakeSockets = createSocketsEngine): WireEngine {
  switch (io) {
    case "streams":
      return createStreamsEngine(log);
    case "sockets":
      return makeSockets(log);
    case "auto":
      return createBestEngine(log, makeSockets);
  }
}

function createBestEngine(log: Logger, makeSockets: MakeSockets): WireEngine {
  try {
    return makeSockets(log);
  } catch (error) {
    if (!(error instanceof PoolerError)) throw error;
    log.info({ event: "streams", reason: error.message }, "connections go through Node's streams");
    return createStreamsEngine(log);
  }
}
