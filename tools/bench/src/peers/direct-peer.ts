// PostgreSQL without anything in front of it.
import { type Peer, targetOn } from "./peer.js";

/** For superusers, and for the pools of the other peers. */
const reservedConnections = 200;

export function createDirectPeer(maxServerConnections: number): Peer {
  return {
    name: "direct",
    kind: "direct",
    workers: null,
    io: null,
    poolSize: null,
    objection({ setup, clients }) {
      if (setup.databases > 1) return "there is one database";
      return clients > maxServerConnections - reservedConnections ? `it takes ${maxServerConnections} connections` : undefined;
    },
    start: (setup, grounds) =>
      Promise.resolve({
        target: targetOn(grounds.server.port, setup, grounds),
        pid: undefined,
        startMs: 0,
        stop: () => Promise.resolve(),
      }),
  };
}
