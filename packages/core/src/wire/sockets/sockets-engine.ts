// The engine for Linux: plain sockets and one epoll, without Node's streams. Knows how its parts fit together, nothing else.
import type { Logger } from "../../base/logger.js";
import type { WireEngine } from "../wire.js";
import { createAcceptor } from "./acceptor.js";
import { createAddressCodec } from "./address.js";
import { dialSocket } from "./dialer.js";
import { loadOpenSsl, type OpenSsl } from "./openssl.js";
import { createPoller } from "./poller.js";
import { createWireShared } from "./socket-wire.js";
import { loadSystem, type System } from "./system.js";
import { createTlsContexts } from "./tls-contexts.js";

/** Throws PoolerError NOT_SUPPORTED, with the reason, where it cannot work. One for the life of the process. */
export function createSocketsEngine(log: Logger, system: System = loadSystem(), openSsl: OpenSsl = loadOpenSsl()): WireEngine {
  const addresses = createAddressCodec();
  const poller = createPoller(system, log);
  const shared = createWireShared({ system, log, tls: createTlsContexts(openSsl), poller });
  return {
    name: "sockets",
    listen: (descriptor, onAccept, leavesToOthers) => createAcceptor(shared, addresses, descriptor, onAccept, leavesToOthers),
    dial: (target, reader, onDialed) => dialSocket(shared, addresses, target, reader, onDialed),
    defer: (what) => poller.defer(what),
    keepTime: (clock) => poller.keepTime(clock),
    lookElsewhere: (isExpected) => poller.lookElsewhere(isExpected),
  };
}
