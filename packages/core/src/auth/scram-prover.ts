// The pooler's half of SCRAM with a server (RFC 5802; fe-auth-scram.c where libpq is stricter). The server proves itself as
// well: its last message must carry the right signature. Messages are latin1 strings, byte for byte.
import { randomBytes } from "node:crypto";
import { decodeBase64, equalBytes, hmac, NONCE_BYTES, type ScramKeys, sha256, xor } from "./scram.js";

export interface ScramProverOptions {
  /** "n": none; "y": we could, the server did not offer it; "p": bound to the server's certificate. */
  readonly binding: "n" | "y" | "p";
  readonly certificateHash: Buffer | null;
  /** Keys for the server's salt, or why there are none. */
  readonly keysFor: (salt: Buffer, iterations: number) => ScramKeys | string;
  readonly maxIterations: number;
  readonly nonce?: string;
}

export interface ScramProver {
  readonly clientFirst: string;
  /** The client's last message, or what is wrong with the server's first one. */
  answer(serverFirst: string): { readonly message: string } | { readonly problem: string };
  /** Null when the server has proved itself, else what is wrong. */
  check(serverFinal: string): string | null;
}

export function createScramProver(options: ScramProverOptions): ScramProver {
  const nonce = options.nonce ?? randomBytes(NONCE_BYTES).toString("base64");
  const gs2Header = options.binding === "p" ? "p=tls-server-end-point,," : `${options.binding},,`;
  // The server knows the user from the startup message; libpq leaves the name empty here, too.
  const bare = `n=,r=${nonce}`;
  let expectedSignature: Buffer | null = null;
  return {
    clientFirst: gs2Header + bare,
    answer(serverFirst) {
      const match = /^r=([\x21-\x2b\x2d-\x7e]+),s=([^,]+),i=([1-9]\d{0,9})$/.exec(serverFirst);
      if (match === null) return { problem: "its first SCRAM message is malformed" };
      const [, serverNonce = "", saltText = "", iterationsText = ""] = match;
      if (!serverNonce.startsWith(nonce) || serverNonce.length === nonce.length)
        return { problem: "its SCRAM nonce does not continue ours" };
      const salt = decodeBase64(saltText);
      if (salt === null) return { problem: "its SCRAM salt is not base64" };
      const iterations = Number(iterationsText);
      if (iterations > options.maxIterations) {
        return { problem: `it asks for ${iterations} SCRAM iterations; at most ${options.maxIterations} are accepted` };
      }
      const keys = options.keysFor(salt, iterations);
      if (typeof keys === "string") return { problem: keys };

      const bound = options.binding === "p" && options.certificateHash !== null ? options.certificateHash : Buffer.alloc(0);
      const channelBinding = Buffer.concat([Buffer.from(gs2Header, "latin1"), bound]).toString("base64");
      const withoutProof = `c=${channelBinding},r=${serverNonce}`;
      const authMessage = `${bare},${serverFirst},${withoutProof}`;
      expectedSignature = hmac(keys.serverKey, authMessage);
      const proof = xor(keys.clientKey, hmac(sha256(keys.clientKey), authMessage));
      return { message: `${withoutProof},p=${proof.toString("base64")}` };
    },
    check(serverFinal) {
      if (serverFinal.startsWith("e=")) return `it refused the SCRAM proof: ${serverFinal.slice(2)}`;
      const signature = serverFinal.startsWith("v=") ? decodeBase64(serverFinal.slice(2)) : null;
      if (signature === null) return "its last SCRAM message is malformed";
      if (expectedSignature === null || !equalBytes(signature, expectedSignature)) {
        return "its SCRAM signature is wrong: it does not know the user's password, so it may not be the server that it says it is";
      }
      return null;
    },
  };
}
