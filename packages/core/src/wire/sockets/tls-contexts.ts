// TLS settings as OpenSSL holds them (SSL_CTX): made once for each distinct set of PEM texts, kept while they are in use.
import { rootCertificates } from "node:tls";
import { PoolerError } from "../../base/errors.js";
import type { TlsUpgrade } from "../wire.js";
import { type OpenSsl, type Pointer, Ssl } from "./openssl.js";

export interface TlsContexts {
  readonly openSsl: OpenSsl;
  /** Throws PoolerError CONFIG_INVALID for PEM texts that cannot be used. */
  contextFor(upgrade: TlsUpgrade): Pointer;
}

/** A reload brings new certificates: the oldest sets go. Sessions keep a hold on theirs. */
const mostContexts = 16;
/** Never asked for at a terminal: an encrypted key simply does not open. */
const noPassphrase = Buffer.from([0]);

export function createTlsContexts(openSsl: OpenSsl): TlsContexts {
  const kept: { readonly upgrade: TlsUpgrade; readonly context: Pointer }[] = [];
  return {
    openSsl,
    contextFor(upgrade) {
      const known = kept.find((each) => sameContext(each.upgrade, upgrade));
      if (known !== undefined) return known.context;
      const context = upgrade.side === "server" ? serverContext(openSsl, upgrade) : clientContext(openSsl, upgrade);
      kept.push({ upgrade, context });
      if (kept.length > mostContexts) openSsl.freeContext(kept.shift()?.context ?? null);
      return context;
    },
  };
}

/** The host name belongs to the session. */
function sameContext(a: TlsUpgrade, b: TlsUpgrade): boolean {
  if (a.side === "server") return b.side === "server" && a.cert === b.cert && a.key === b.key && a.clientCa === b.clientCa;
  return b.side === "client" && a.verify === b.verify && a.ca === b.ca;
}

function serverContext(openSsl: OpenSsl, upgrade: Extract<TlsUpgrade, { side: "server" }>): Pointer {
  const context = newContext(openSsl, openSsl.serverMethod());
  const chain = certificates(openSsl, upgrade.cert, "the certificate");
  chain.forEach((certificate, place) => {
    if (place === 0) {
      check(openSsl, openSsl.useCertificate(context, certificate), "the certificate");
      openSsl.freeCertificate(certificate);
    } else {
      // The context takes these over.
      check(openSsl, openSsl.controlContext(context, Ssl.CTRL_EXTRA_CHAIN_CERT, 0, certificate), "the certificate's chain");
    }
  });
  const key = withMemory(openSsl, upgrade.key, (bio) => openSsl.readKey(bio, null, null, noPassphrase));
  check(openSsl, key === null ? 0 : openSsl.useKey(context, key), "the private key");
  openSsl.freeKey(key);
  check(openSsl, openSsl.checkKey(context), "the private key");
  if (upgrade.clientCa !== null) {
    for (const certificate of certificates(openSsl, upgrade.clientCa, "the clients' authority")) {
      openSsl.addToStore(openSsl.certificateStore(context), certificate);
      openSsl.addClientAuthority(context, certificate);
      openSsl.freeCertificate(certificate);
    }
    openSsl.setContextVerify(context, Ssl.VERIFY_PEER | Ssl.VERIFY_FAIL_WITHOUT_CERTIFICATE, null);
  }
  return context;
}

function clientContext(openSsl: OpenSsl, upgrade: Extract<TlsUpgrade, { side: "client" }>): Pointer {
  const context = newContext(openSsl, openSsl.clientMethod());
  if (!upgrade.verify) return context;
  const authorities = upgrade.ca ?? rootCertificates.join("\n");
  for (const certificate of certificates(openSsl, authorities, "the servers' authority")) {
    openSsl.addToStore(openSsl.certificateStore(context), certificate);
    openSsl.freeCertificate(certificate);
  }
  openSsl.setContextVerify(context, Ssl.VERIFY_PEER, null);
  return context;
}

function newContext(openSsl: OpenSsl, method: Pointer): Pointer {
  const context = openSsl.newContext(method);
  if (context === null) throw new PoolerError("IO", `TLS cannot be set up: ${reasonOf(openSsl) ?? "no memory"}`);
  openSsl.controlContext(context, Ssl.CTRL_SET_MIN_VERSION, Ssl.TLS_1_2, null);
  openSsl.controlContext(context, Ssl.CTRL_MODE, Ssl.MODES, null);
  // One read() for a record instead of two.
  openSsl.controlContext(context, Ssl.CTRL_SET_READ_AHEAD, 1, null);
  // Sessions are not resumed, as in PostgreSQL. A connection that just ends is no error: the protocol above has its own end.
  openSsl.controlContext(context, Ssl.CTRL_SET_SESSION_CACHE_MODE, 0, null);
  openSsl.setTickets(context, 0);
  openSsl.setOptions(context, Ssl.OP_NO_TICKET | Ssl.OP_NO_COMPRESSION | Ssl.OP_NO_RENEGOTIATION | Ssl.OP_IGNORE_UNEXPECTED_EOF);
  return context;
}

/** All certificates of a PEM text, to be freed. */
function certificates(openSsl: OpenSsl, pem: string, what: string): Pointer[] {
  const found = withMemory(openSsl, pem, (bio) => {
    const list: Pointer[] = [];
    for (let next = openSsl.readCertificate(bio, null, null, noPassphrase); next !== null; ) {
      list.push(next);
      next = openSsl.readCertificate(bio, null, null, noPassphrase);
    }
    return list;
  });
  if (found.length === 0) check(openSsl, 0, what);
  openSsl.clearErrors(); // the end of the text
  return found;
}

function withMemory<T>(openSsl: OpenSsl, text: string, use: (bio: Pointer) => T): T {
  const bytes = Buffer.from(text);
  const bio = openSsl.newMemory(bytes, bytes.length);
  try {
    return use(bio);
  } finally {
    openSsl.freeMemory(bio);
  }
}

function check(openSsl: OpenSsl, result: number, what: string): void {
  if (result === 1) return;
  throw new PoolerError("CONFIG_INVALID", `TLS: ${what} cannot be used: ${reasonOf(openSsl) ?? "nothing was found in it"}`, {
    hint: "It must be a PEM text, and the key must be the certificate's and not encrypted.",
  });
}

/** The oldest error of OpenSSL's queue, in words, or null; the queue is empty afterwards. */
export function reasonOf(openSsl: OpenSsl): string | null {
  const error = openSsl.takeError();
  openSsl.clearErrors();
  if (error === 0) return null;
  const text = Buffer.alloc(256);
  openSsl.errorText(error, text, text.length);
  // error:0A000086:SSL routines::certificate verify failed
  return text.toString("latin1", 0, text.indexOf(0)).split(":").pop() ?? null;
}
