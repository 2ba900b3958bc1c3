import { describe, expect, it } from "vitest";
import {
  decodeBase64,
  formatScramVerifier,
  keysOf,
  normalizePassword,
  parseScramVerifier,
  saltedPassword,
  saltedPasswordAsync,
  secretOf,
} from "./scram.js";
import { createScramProver } from "./scram-prover.js";
import { parseClientFirst, startScramExchange } from "./scram-verifier.js";

// RFC 7677, section 3.
const rfc = {
  password: "pencil",
  clientNonce: "rOprNGfwEbeRWgbNEkqO",
  serverNonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
  salt: Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64"),
  serverFirst: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
  clientFinal: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
  serverFinal: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
};

describe("the example of RFC 7677", () => {
  const salted = saltedPassword(rfc.password, rfc.salt, 4096);

  it("is what the verifying side computes", () => {
    const first = parseClientFirst(`n,,n=user,r=${rfc.clientNonce}`, { plus: false, plusOffered: false });
    if (typeof first === "string") throw new TypeError(first);
    const exchange = startScramExchange(first, secretOf(salted, rfc.salt, 4096), null, rfc.serverNonce);
    expect(exchange.serverFirst).toBe(rfc.serverFirst);
    const outcome = exchange.finish(rfc.clientFinal);
    expect(outcome).toEqual({
      kind: "proved",
      serverFinal: rfc.serverFinal,
      keys: { ...keysOf(salted), salt: rfc.salt, iterations: 4096 },
    });
  });

  it("has the signature that the proving side checks", () => {
    // The example names the user, PostgreSQL's clients do not: so the proof differs, and only the form is compared.
    const prover = createScramProver({
      binding: "n",
      certificateHash: null,
      maxIterations: 4096,
      nonce: rfc.clientNonce,
      keysFor: (salt, iterations) => keysOf(saltedPassword(rfc.password, salt, iterations)),
    });
    expect(prover.clientFirst).toBe(`n,,n=,r=${rfc.clientNonce}`);
    expect(prover.answer(rfc.serverFirst)).toEqual({ message: expect.stringMatching(/^c=biws,r=rOprNG.*\$k0,p=[A-Za-z0-9+/]{43}=$/) });
    expect(prover.check(rfc.serverFinal)).toMatch(/signature is wrong/);
  });

  it("can be derived on another thread", async () => {
    expect(await saltedPasswordAsync(rfc.password, rfc.salt, 4096)).toEqual(salted);
  });
});

describe("normalizePassword", () => {
  it.each([
    ["plain", "plain"],
    ["\x01\x7f", "\x01\x7f"],
    ["I\u00adX", "IX"],
    ["\u00aa", "a"],
    ["\u2168", "IX"],
    ["a\u00a0b", "a b"],
    // Prohibited, unassigned in Unicode 3.2, mixed directions, nothing left: the bytes as they are.
    ["\u0007\u00e9", "\u0007\u00e9"],
    ["\u{1f600}", "\u{1f600}"],
    ["\u0627\u0031", "\u0627\u0031"],
    ["\u00ad", "\u00ad"],
    ["", ""],
  ])("%j becomes %j", (password, normalized) => {
    expect(normalizePassword(password)).toBe(normalized);
  });
});

describe("verifiers", () => {
  // Made by PostgreSQL for the password "foo".
  const text =
    "SCRAM-SHA-256$4096:ob44hTz2eyKuuGTsKjpvRA==$xFxxQl0fGWT37VBYfWTPjbYE3jkbJLTSlcZnQ4Jj97s=:gDWsyJBsWRVX/BzvkkCcAn1qDz6/+ypwKCNoZYZ6Kq4=";

  it("are read and written", () => {
    const secret = secretOf(saltedPassword("foo", rfc.salt, 4096), rfc.salt, 4096);
    expect(parseScramVerifier(formatScramVerifier(secret))).toEqual(secret);
    const parsed = parseScramVerifier(text);
    expect(parsed === null ? null : formatScramVerifier(parsed)).toBe(text);
  });

  it.each([
    "",
    "md5abc",
    "SCRAM-SHA-256$",
    text.replace("4096", "0"),
    text.replace("4096", "-1"),
    text.replace("4096", "99999999999"),
    text.replace("ob44hTz2eyKuuGTsKjpvRA==", "!"),
    text.replace("xFxxQl0f", "xFxx"),
    `${text}x`,
    text.slice(0, -4),
  ])("are refused when malformed: %j", (broken) => {
    expect(parseScramVerifier(broken)).toBeNull();
  });
});

describe("decodeBase64", () => {
  it("takes base64 only", () => {
    expect(decodeBase64("YWI=")).toEqual(Buffer.from("ab"));
    for (const text of ["", "YWI", "YW I=", "YWI==", "====", "YW-_", "Y==="]) expect(decodeBase64(text), text).toBeNull();
  });
});
