// The TLS contexts that are shown to clients. Reading certificate and key takes a millisecond, so each is made once.
import tls from "node:tls";
import type { TlsUpgrade } from "../wire.js";

export interface ServerContexts {
  contextOf(upgrade: Extract<TlsUpgrade, { side: "server" }>): tls.SecureContext;
}

export function createServerContexts(): ServerContexts {
  const contexts = new WeakMap<TlsUpgrade, tls.SecureContext>();
  return {
    contextOf(upgrade) {
      const known = contexts.get(upgrade);
      if (known !== undefined) return known;
      const context = tls.createSecureContext({
        cert: upgrade.cert,
        key: upgrade.key,
        minVersion: "TLSv1.2",
        // Without it a client that resumes its session under client certificates would be refused.
        sessionIdContext: "pooler",
        ...(upgrade.clientCa === null ? {} : { ca: upgrade.clientCa }),
      });
      contexts.set(upgrade, context);
      return context;
    },
  };
}
