// Both sides against one another, against malformed input, and over the bytes that travel.
import { createHash, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { AuthMethod, UserConfig } from "../config/types.js";
import { type AuthStep, type ClientAuthenticator, createClientAuthenticator } from "./client-authenticator.js";
import { md5Verifier } from "./md5.js";
import { formatScramVerifier, saltedPassword, secretOf } from "./scram.js";
import { createSecretCache } from "./secret-cache.js";
import { createServerAuthenticator, type ServerAuthenticator, type ServerAuthenticatorOptions } from "./server-authenticator.js";

const secrets = createSecretCache();

function user(fields: Partial<UserConfig>): UserConfig {
  return {
    name: "bob",
    password: null,
    verifier: null,
    serverPassword: null,
    serverUser: null,
    console: "none",
    databases: null,
    ...fields,
  };
}

interface Setting {
  readonly method?: AuthMethod;
  readonly user?: UserConfig | null;
  readonly loopback?: boolean;
  readonly certificate?: Buffer | null;
}

function clientSide(setting: Setting): ClientAuthenticator {
  return createClientAuthenticator({
    method: setting.method ?? "scram-sha-256",
    user: setting.user ?? null,
    userName: "bob",
    clientIsLoopback: setting.loopback ?? false,
    tlsServerEndPoint: setting.certificate ?? null,
    secrets,
  });
}

function serverSide(options: Partial<ServerAuthenticatorOptions>): ServerAuthenticator {
  return createServerAuthenticator({ user: "bob", password: null, tls: false, ...options });
}

interface Outcome {
  readonly client: string;
  readonly server: string;
}

async function settle(step: AuthStep): Promise<AuthStep> {
  return step.kind === "pending" ? step.promise : step;
}

/** Splits what travels into messages: code and body of each 'R'. */
function messagesIn(bytes: Buffer): [number, Buffer][] {
  const messages: [number, Buffer][] = [];
  for (let at = 0; at < bytes.length; ) {
    expect(bytes[at]).toBe(0x52);
    const length = bytes.readInt32BE(at + 1);
    messages.push([bytes.readInt32BE(at + 5), bytes.subarray(at + 9, at + 1 + length)]);
    at += 1 + length;
  }
  return messages;
}

/** Lets the pooler log in at the pooler. */
async function logIn(
  verifying: ClientAuthenticator,
  proving: ServerAuthenticator,
  tamper: (body: Buffer) => Buffer = (body) => body,
): Promise<Outcome> {
  let step = await settle(verifying.start());
  for (let round = 0; round < 10; round++) {
    if (step.kind === "failed") return { client: step.reason, server: "" };
    if (step.kind === "pending") throw new TypeError("pending twice");
    let answer: Buffer | null = null;
    for (const [code, body] of messagesIn(step.messages)) {
      const next = proving.receive(code, tamper(body));
      if (next.kind === "failed") return { client: step.kind, server: next.error.message };
      if (next.kind === "ok") return { client: step.kind, server: "ok" };
      if (next.kind === "send") answer = next.message;
    }
    if (answer === null) return { client: step.kind, server: "waits" };
    expect(answer[0]).toBe(0x70);
    expect(answer.readInt32BE(1)).toBe(answer.length - 1);
    step = await settle(verifying.receive(answer.subarray(5)));
  }
  throw new TypeError("no end");
}

const salt = randomBytes(16);
const verifier = formatScramVerifier(secretOf(saltedPassword("sécret", salt, 5000), salt, 5000));
const certificate = createHash("sha256").update("certificate").digest();
const fine = { client: "ok", server: "ok" };

describe("a login", () => {
  it.each<[string, Setting, Partial<ServerAuthenticatorOptions>]>([
    ["SCRAM with a plain password", { user: user({ password: "sécret" }) }, { password: "sécret" }],
    ["SCRAM with a verifier", { user: user({ verifier }) }, { password: "sécret" }],
    ["SCRAM with a password that is normalized", { user: user({ password: "I\u00adX" }) }, { password: "\u2168" }],
    [
      "SCRAM bound to the channel",
      { user: user({ password: "x" }), certificate },
      { password: "x", tls: true, tlsServerEndPoint: certificate },
    ],
    ["SCRAM without binding where it is offered", { user: user({ password: "x" }), certificate }, { password: "x", tls: true }],
    [
      "SCRAM where binding could be but is not offered",
      { user: user({ password: "x" }) },
      { password: "x", tls: true, tlsServerEndPoint: certificate },
    ],
    ["MD5 with a plain password", { method: "md5", user: user({ password: "sécret" }) }, { password: "sécret" }],
    ["MD5 with a verifier", { method: "md5", user: user({ verifier: md5Verifier("sécret", "bob") }) }, { password: "sécret" }],
    ["md5 with a SCRAM verifier, which goes by SCRAM", { method: "md5", user: user({ verifier }) }, { password: "sécret" }],
    ["trust from this machine", { method: "trust", user: user({}), loopback: true }, {}],
  ])("works by %s", async (_, setting, options) => {
    expect(await logIn(clientSide(setting), serverSide(options))).toEqual(fine);
    // A second time secrets are known and keys cached.
    expect(await logIn(clientSide(setting), serverSide({ ...options, secrets }))).toEqual(fine);
    expect(await logIn(clientSide(setting), serverSide({ ...options, secrets }))).toEqual(fine);
  });

  it.each<[string, Setting, Partial<ServerAuthenticatorOptions>, RegExp]>([
    ["a wrong password by SCRAM", { user: user({ password: "a" }) }, { password: "b" }, /^wrong password$/],
    ["a wrong password by MD5", { method: "md5", user: user({ password: "a" }) }, { password: "b" }, /^wrong password$/],
    ["a verifier of another password", { user: user({ verifier }) }, { password: "b" }, /^wrong password$/],
    ["an unknown user by SCRAM", { user: null }, { password: "b" }, /no such user/],
    ["an unknown user by MD5", { method: "md5", user: null }, { password: "" }, /no such user/],
    ["an unknown user by trust", { method: "trust", user: null, loopback: true }, {}, /no such user/],
    ["trust from elsewhere", { method: "trust", user: user({}) }, {}, /this machine only/],
    ["a user without password", { user: user({}) }, { password: "" }, /neither password nor verifier/],
    ["a user with an empty password", { user: user({ password: "" }) }, { password: "" }, /neither password nor verifier/],
    ["a user without password by MD5", { method: "md5", user: user({}) }, { password: "" }, /neither password nor verifier/],
    [
      "an MD5 verifier where SCRAM is wanted",
      { user: user({ verifier: md5Verifier("a", "bob") }) },
      { password: "a" },
      /not one for SCRAM/,
    ],
    [
      "another certificate than the pooler's",
      { user: user({ password: "x" }), certificate },
      { password: "x", tlsServerEndPoint: randomBytes(32) },
      /channel binding/,
    ],
  ])("fails with %s", async (_, setting, options, reason) => {
    const outcome = await logIn(clientSide(setting), serverSide(options));
    expect(outcome.client).toMatch(reason);
    expect(outcome.server).toBe("");
  });

  it("looks the same to a client whether the user exists or not", () => {
    const salts = [null, user({ password: "a" }), null].map((known) => {
      const side = clientSide({ user: known });
      side.start();
      const first = Buffer.from("SCRAM-SHA-256\0\0\0\0\x0an,,n=,r=ab");
      const step = side.receive(first);
      return step;
    });
    return Promise.all(salts.map(settle)).then((steps) => {
      const texts = steps.map((step) => (step.kind === "send" ? messagesIn(step.messages)[0]?.[1].toString() : step.kind));
      for (const text of texts) expect(text).toMatch(/^r=ab[A-Za-z0-9+/]{24},s=[A-Za-z0-9+/]{22}==,i=4096$/);
      // The salt of a name stays the same.
      expect(texts[0]?.split(",")[1]).toBe(texts[2]?.split(",")[1]);
    });
  });

  it("shows keys that prove the user at a server with the same verifier", async () => {
    const verifying = clientSide({ user: user({ verifier }) });
    expect(verifying.passThroughKeys).toBeNull();
    await logIn(verifying, serverSide({ password: "sécret" }));
    const { passThroughKeys } = verifying;
    expect(await logIn(clientSide({ user: user({ verifier }) }), serverSide({ passThroughKeys }))).toEqual(fine);
    const other = await logIn(clientSide({ user: user({ password: "sécret" }) }), serverSide({ passThroughKeys }));
    expect(other.server).toMatch(/verifier of the user is not the one/);
  });
});

describe("a client that does not keep to the protocol", () => {
  const nonce = "abcdefgh";
  const initial = (data: string, mechanism = "SCRAM-SHA-256"): Buffer => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(data.length);
    return Buffer.concat([Buffer.from(`${mechanism}\0`), length, Buffer.from(data, "latin1")]);
  };

  it.each<[string, Buffer]>([
    ["nothing", Buffer.alloc(0)],
    ["no NUL", Buffer.from("SCRAM-SHA-256")],
    ["no length", Buffer.from("SCRAM-SHA-256\0\0\0")],
    ["a length that is too large", Buffer.from("SCRAM-SHA-256\0\0\0\0\x10n,,n=,r=a")],
    ["a negative length", Buffer.from("SCRAM-SHA-256\0\xff\xff\xff\xfe", "latin1")],
    ["a mechanism that was not offered", initial("n,,n=,r=a", "SCRAM-SHA-1")],
    ["PLUS that was not offered", initial("p=tls-server-end-point,,n=,r=a", "SCRAM-SHA-256-PLUS")],
    ["an authorization identity", initial(`n,a=root,n=,r=${nonce}`)],
    ["an extension that must be understood", initial(`n,,m=x,n=,r=${nonce}`)],
    ["no nonce", initial("n,,n=")],
    ["an empty nonce", initial("n,,n=,r=")],
    ["a nonce with a space", initial("n,,n=,r=a b")],
    ["garbage behind the nonce", initial(`n,,n=,r=${nonce},garbage`)],
    ["a binding flag that does not exist", initial(`x,,n=,r=${nonce}`)],
    ["binding without PLUS", initial(`p=tls-server-end-point,,n=,r=${nonce}`)],
    ["a NUL", initial(`n,,n=\0,r=${nonce}`)],
    ["too much", initial(`n,,n=,r=${"a".repeat(1100)}`)],
  ])("is refused: %s", (_, body) => {
    const side = clientSide({ user: user({ verifier }) });
    side.start();
    expect(side.receive(body).kind).toBe("failed");
    expect(side.receive(body).kind).toBe("failed");
  });

  it("is refused when the list of mechanisms was changed on the way", () => {
    const side = clientSide({ user: user({ verifier }), certificate });
    side.start();
    expect(side.receive(initial(`y,,n=,r=${nonce}`))).toEqual({ kind: "failed", reason: expect.stringMatching(/mechanisms was changed/) });
  });

  it("may send its first message after an empty challenge", () => {
    const side = clientSide({ user: user({ verifier }) });
    side.start();
    const step = side.receive(Buffer.from("SCRAM-SHA-256\0\xff\xff\xff\xff", "latin1"));
    expect(step.kind === "send" && messagesIn(step.messages)).toEqual([[11, Buffer.alloc(0)]]);
    expect(side.receive(Buffer.from(`n,,n=,r=${nonce}`)).kind).toBe("send");
  });

  it.each([
    "",
    "c=biws",
    "c=biws,r=NONCE",
    "c=biws,r=NONCE,p=",
    "c=biws,r=NONCE,p=AAAA",
    "c=biws,r=NONCE,p=!!!!",
    `c=eSws,r=NONCE,p=${"A".repeat(43)}=`,
    `c=biws,r=NONCEx,p=${"A".repeat(43)}=`,
    `c=biws,r=,p=${"A".repeat(43)}=`,
    `c=biws,r=NONCE,junk,p=${"A".repeat(43)}=`,
    `c=biws,r=NONCE,p=${"A".repeat(43)}=,x=y`,
    `c=biws,r=NONCE,p=${"A".repeat(43)}=`,
  ])("is refused with the last message %j", (message) => {
    const side = clientSide({ user: user({ verifier }) });
    side.start();
    const step = side.receive(initial(`n,,n=,r=${nonce}`));
    const full = step.kind === "send" ? (/r=([^,]+)/.exec(step.messages.toString("latin1"))?.[1] ?? "") : "";
    expect(full.startsWith(nonce)).toBe(true);
    expect(side.receive(Buffer.from(message.replace("NONCE", full))).kind).toBe("failed");
  });

  it("is refused when it sends more while its secret is derived", async () => {
    const side = clientSide({ user: user({ password: randomBytes(8).toString("hex") }) });
    side.start();
    const step = side.receive(initial(`n,,n=,r=${nonce}`));
    expect(step.kind).toBe("pending");
    expect(side.receive(Buffer.from("x")).kind).toBe("failed");
    expect((await settle(step)).kind).toBe("failed");
  });

  it.each([Buffer.alloc(0), Buffer.from("md5"), Buffer.from("a\0b\0"), Buffer.from("\0"), randomBytes(300)])(
    "is refused by MD5, too: %j",
    (body) => {
      const side = clientSide({ method: "md5", user: user({ password: "a" }) });
      side.start();
      expect(side.receive(body).kind).toBe("failed");
    },
  );

  it("never makes it throw, whatever it sends", async () => {
    let state = 0x6c078965;
    const random = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      return Math.floor(((state >>> 0) / 2 ** 32) * below);
    };
    for (let round = 0; round < 3_000; round++) {
      const side = clientSide({
        method: round % 4 === 0 ? "md5" : "scram-sha-256",
        user: user({ verifier }),
        certificate: round % 3 === 0 ? certificate : null,
      });
      side.start();
      const first = initial(`n,,n=,r=${nonce}`);
      for (let flip = 0; flip < round % 5; flip++) first[random(first.length)] = random(256);
      const step = await settle(side.receive(first));
      const bytes = Buffer.from(Array.from({ length: round % 200 }, () => random(256)));
      if (step.kind === "send") expect((await settle(side.receive(bytes))).kind).toMatch(/failed|send/);
    }
  });
});

describe("a server that does not keep to the protocol", () => {
  const sasl = Buffer.from("SCRAM-SHA-256\0\0");

  /** The prover after its first message, and the nonce in that. */
  function begun(options: Partial<ServerAuthenticatorOptions> = {}): [ServerAuthenticator, string] {
    const side = serverSide({ password: "x", ...options });
    const step = side.receive(10, sasl);
    return [side, step.kind === "send" ? (/r=(.*)$/.exec(step.message.toString("latin1"))?.[1] ?? "") : ""];
  }

  const problem = (step: ReturnType<ServerAuthenticator["receive"]>): string =>
    step.kind === "failed" ? `${step.error.code}: ${step.error.message}` : step.kind;

  it.each<[string, (nonce: string) => string, RegExp]>([
    ["garbage", () => "garbage", /malformed/],
    ["another nonce", () => "r=x,s=YWJj,i=4096", /nonce/],
    ["our nonce only", (nonce) => `r=${nonce},s=YWJj,i=4096`, /nonce/],
    ["a salt that is not base64", (nonce) => `r=${nonce}x,s=!,i=4096`, /salt/],
    ["no iterations", (nonce) => `r=${nonce}x,s=YWJj,i=0`, /malformed/],
    ["absurd iterations", (nonce) => `r=${nonce}x,s=YWJj,i=1000001`, /1000001 SCRAM iterations/],
    ["an extension", (nonce) => `r=${nonce}x,s=YWJj,i=4096,x=y`, /malformed/],
  ])("is refused: %s", (_, message, expected) => {
    const [side, nonce] = begun();
    expect(problem(side.receive(11, Buffer.from(message(nonce))))).toMatch(expected);
    expect(problem(side.receive(0, Buffer.alloc(0)))).toMatch(/^SERVER_LOGIN_FAILED: .*order/);
  });

  it("is refused when it ends SCRAM without having proved itself", () => {
    const [side, nonce] = begun();
    expect(problem(side.receive(0, Buffer.alloc(0)))).toMatch(/before it proved itself/);
    const [other] = [begun()[0]];
    expect(problem(other.receive(12, Buffer.from("v=AAAA")))).toMatch(/order/);
    const [third, thirdNonce] = begun();
    expect(third.receive(11, Buffer.from(`r=${thirdNonce}x,s=YWJj,i=1`)).kind).toBe("send");
    expect(problem(third.receive(0, Buffer.alloc(0)))).toMatch(/before it proved itself/);
    expect(nonce).not.toBe(thirdNonce);
  });

  it.each(["v=AAAA", "v=", "", "x", `v=${"A".repeat(43)}=`, "e=invalid-proof"])("is refused with the last message %j", (message) => {
    const [side, nonce] = begun();
    side.receive(11, Buffer.from(`r=${nonce}x,s=YWJj,i=1`));
    expect(problem(side.receive(12, Buffer.from(message)))).toMatch(/SERVER_LOGIN_FAILED/);
  });

  it.each<[number, Buffer, RegExp]>([
    [2, Buffer.alloc(0), /Kerberos/],
    [7, Buffer.alloc(0), /Kerberos/],
    [9, Buffer.alloc(0), /Kerberos/],
    [99, Buffer.alloc(0), /code 99/],
    [5, Buffer.alloc(3), /four bytes/],
    [10, Buffer.from("SCRAM-SHA-1\0\0"), /SCRAM-SHA-1/],
    [10, Buffer.alloc(0), /none of the SASL/],
    [11, Buffer.alloc(0), /order/],
  ])("is refused when it asks for %i", (code, body, expected) => {
    expect(problem(serverSide({ password: "x" }).receive(code, body))).toMatch(expected);
  });

  it("gets no password where there is none", () => {
    for (const [code, body] of [
      [3, Buffer.alloc(0)],
      [5, Buffer.alloc(4)],
      [10, sasl],
    ] as const) {
      expect(problem(serverSide({}).receive(code, body))).toMatch(/asks for a password and there is none/);
    }
  });

  it("asks twice in vain", () => {
    const side = serverSide({ password: "x" });
    expect(side.receive(3, Buffer.alloc(0)).kind).toBe("send");
    expect(problem(side.receive(3, Buffer.alloc(0)))).toMatch(/order/);
  });

  it("gets the password itself when it asks, unless that must be encrypted", () => {
    const step = serverSide({ password: "pä" }).receive(3, Buffer.alloc(0));
    expect(step.kind === "send" && step.message.subarray(5)).toEqual(Buffer.from("pä\0"));
    expect(problem(serverSide({ password: "x", cleartext: "over-tls" }).receive(3, Buffer.alloc(0)))).toMatch(/not encrypted/);
    expect(serverSide({ password: "x", cleartext: "over-tls", tls: true }).receive(3, Buffer.alloc(0)).kind).toBe("send");
  });
});

describe("the secret cache", () => {
  it("derives the secrets of all users ahead and forgets those who left", async () => {
    const cache = createSecretCache();
    cache.prepare([user({ password: "a" }), user({ name: "amy", password: "b" }), user({ name: "eve", verifier })]);
    const secret = await cache.secretOf("bob", "a");
    await cache.secretOf("amy", "b");
    expect(cache.secretOf("bob", "a")).toBe(secret);
    cache.prepare([user({ password: "other" })]);
    const other = await cache.secretOf("bob", "other");
    expect(other.salt.equals(secret.salt)).toBe(false);
    expect(cache.secretOf("amy", "b")).toBeInstanceOf(Promise);
  });

  it("keeps a bounded number of keys", () => {
    const cache = createSecretCache();
    const one = cache.keysOf("a", salt, 1);
    expect(cache.keysOf("a", salt, 1)).toBe(one);
    for (let n = 0; n < 600; n++) cache.keysOf(`p${n}`, salt, 1);
    expect(cache.keysOf("a", salt, 1)).not.toBe(one);
    expect(cache.keysOf("a", salt, 1)).toEqual(one);
  });
});
