// The pooler's half of SCRAM with a client (RFC 5802, and auth-scram.c where PostgreSQL is stricter). A pure exchange of
// texts: client-first in, server-first out, client-final in, server-final out. Messages are latin1 strings, byte for byte.
import { decodeBase64, equalBytes, hmac, KEY_BYTES, type PassThroughKeys, type ScramSecret, sha256, xor } from "./scram.js";

export interface ClientFirst {
  /** "n,,", "y,," or "p=tls-server-end-point,,": repeated by the client in its last message. */
  readonly gs2Header: string;
  readonly channelBinding: boolean;
  readonly bare: string;
  readonly nonce: string;
}

export interface ScramRules {
  /** The client chose SCRAM-SHA-256-PLUS. */
  readonly plus: boolean;
  /** The pooler offered SCRAM-SHA-256-PLUS. */
  readonly plusOffered: boolean;
}

const PRINTABLE = /^[\x21-\x2b\x2d-\x7e]+$/;

/** The client's first message, or what is wrong with it. The user name in it is ignored, as PostgreSQL does. */
export function parseClientFirst(text: string, rules: ScramRules): ClientFirst | string {
  const match = /^(n|y|p=[A-Za-z0-9.-]+),([^,]*),(.*)$/s.exec(text);
  if (match === null) return "malformed SCRAM message: no GS2 header";
  const [, flag = "", authorizationId = "", bare = ""] = match;
  if (authorizationId !== "") return "the client asked for another authorization identity, which is not supported";
  if (flag === "y" && rules.plusOffered)
    return "the client believes that channel binding is not offered, but it is: the list of mechanisms was changed";
  if (flag.startsWith("p=")) {
    if (!rules.plus) return "the client binds to the channel without having chosen SCRAM-SHA-256-PLUS";
    if (flag !== "p=tls-server-end-point") return `channel binding type "${flag.slice(2)}" is not supported`;
  } else if (rules.plus) {
    return "the client chose SCRAM-SHA-256-PLUS but does not bind to the channel";
  }
  if (bare.startsWith("m=")) return "the client wants a SCRAM extension that is not supported";
  const [user = "", nonceField = "", ...extensions] = bare.split(",");
  if (!user.startsWith("n=") || !nonceField.startsWith("r=")) return "malformed SCRAM message: no user name or nonce";
  const nonce = nonceField.slice(2);
  if (!PRINTABLE.test(nonce)) return "malformed SCRAM message: the nonce has characters that it may not have";
  if (!extensions.every(isAttribute)) return "malformed SCRAM message: garbage behind the nonce";
  return { gs2Header: `${flag},,`, channelBinding: flag.startsWith("p="), bare, nonce };
}

const isAttribute = (field: string): boolean => /^[A-Za-z]=/.test(field);

export interface ScramExchange {
  readonly serverFirst: string;
  /** Checks the client's last message. */
  finish(clientFinal: string): ScramOutcome;
}

export type ScramOutcome =
  | { readonly kind: "proved"; readonly serverFinal: string; readonly keys: PassThroughKeys }
  | { readonly kind: "refused" }
  | { readonly kind: "malformed"; readonly reason: string };

/** `certificateHash` is used when the client binds to the channel. A mock secret goes the same way and is refused at its end. */
export function startScramExchange(
  first: ClientFirst,
  secret: ScramSecret,
  certificateHash: Buffer | null,
  serverNonce: string,
): ScramExchange {
  const nonce = first.nonce + serverNonce;
  const serverFirst = `r=${nonce},s=${secret.salt.toString("base64")},i=${secret.iterations}`;
  const bound = first.channelBinding && certificateHash !== null ? certificateHash : Buffer.alloc(0);
  const channelBinding = Buffer.concat([Buffer.from(first.gs2Header, "latin1"), bound]).toString("base64");
  return {
    serverFirst,
    finish(clientFinal) {
      const proofAt = clientFinal.lastIndexOf(",p=");
      const withoutProof = clientFinal.slice(0, Math.max(proofAt, 0));
      const [binding = "", nonceField = "", ...extensions] = withoutProof.split(",");
      if (proofAt < 0 || !binding.startsWith("c=") || !nonceField.startsWith("r=") || !extensions.every(isAttribute)) {
        return { kind: "malformed", reason: "malformed SCRAM message: no channel binding, nonce or proof" };
      }
      const proof = decodeBase64(clientFinal.slice(proofAt + 3));
      if (proof?.length !== KEY_BYTES) return { kind: "malformed", reason: "malformed SCRAM message: the proof is not 32 bytes of base64" };
      if (binding.slice(2) !== channelBinding) return { kind: "malformed", reason: "SCRAM channel binding check failed" };
      if (nonceField.slice(2) !== nonce) return { kind: "malformed", reason: "the nonce of the client's last message is another one" };

      const authMessage = `${first.bare},${serverFirst},${withoutProof}`;
      const clientKey = xor(proof, hmac(secret.storedKey, authMessage));
      if (!equalBytes(sha256(clientKey), secret.storedKey)) return { kind: "refused" };
      const { iterations, salt, serverKey } = secret;
      const serverFinal = `v=${hmac(serverKey, authMessage).toString("base64")}`;
      return { kind: "proved", serverFinal, keys: { clientKey, serverKey, iterations, salt } };
    },
  };
}
