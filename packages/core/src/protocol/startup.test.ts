import { describe, expect, test } from "vitest";
import { PoolerError } from "../base/errors.js";
import { MAX_STARTUP_BYTES, PROTOCOL_3_0, Request } from "./codes.js";
import { readOptions, readStartup, startupLength } from "./startup.js";

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

/** A packet with a true length, whatever its body. */
function packet(code: number, body: string | Uint8Array = ""): Buffer {
  const rest = Buffer.from(body);
  return Buffer.concat([int32(8 + rest.length), int32(code), rest]);
}

/** Read from the middle of a larger buffer, as it comes from the wire. */
function read(bytes: Buffer): ReturnType<typeof readStartup> {
  const around = Buffer.concat([Buffer.from("before"), bytes, Buffer.from("behind\0\0")]);
  return readStartup(around, 6, 6 + bytes.length);
}

describe("the length of the first packet", () => {
  test("is not known before four bytes have come", () => {
    for (let length = 0; length < 4; length++) expect(startupLength(Buffer.alloc(4, 0x7f), 0, length)).toBe(0);
    expect(startupLength(Buffer.concat([Buffer.alloc(3), int32(99)]), 3, 7)).toBe(99);
  });

  test.each([[-1], [-0x80000000], [0], [4], [7]])("%d is none", (length) => {
    expect(() => startupLength(int32(length), 0, 4)).toThrow("invalid length of startup packet");
  });

  test("is limited as in PostgreSQL", () => {
    expect(startupLength(int32(MAX_STARTUP_BYTES), 0, 4)).toBe(10_000);
    expect(() => startupLength(int32(MAX_STARTUP_BYTES + 1), 0, 4)).toThrow(
      expect.objectContaining({ code: "STARTUP_TOO_LONG", sqlstate: "08P01" }),
    );
    expect(() => startupLength(Buffer.from("GET / HTTP/1.1"), 0, 14)).toThrow(expect.objectContaining({ code: "STARTUP_TOO_LONG" }));
  });
});

describe("a startup packet", () => {
  test("brings parameters, in any order, with any bytes that are text", () => {
    const found = read(packet(PROTOCOL_3_0, "user\0jürgen\0database\0\0options\0-c a=b\0\0"));
    expect(found).toMatchObject({ kind: "startup", minor: 0, unknownOptions: [] });
    expect(found.kind === "startup" && [...found.parameters]).toEqual([
      ["user", "jürgen"],
      ["database", ""],
      ["options", "-c a=b"],
    ]);
  });

  test("may have no parameters", () => {
    expect(read(packet(PROTOCOL_3_0, "\0"))).toMatchObject({ kind: "startup" });
  });

  test("the last of two parameters of one name counts", () => {
    const found = read(packet(PROTOCOL_3_0, "user\0a\0user\0b\0\0"));
    expect(found.kind === "startup" && found.parameters.get("user")).toBe("b");
  });

  test("options of a newer protocol are told apart", () => {
    const found = read(packet(PROTOCOL_3_0 + 2, "user\0a\0_pq_.x\x001\0\0"));
    expect(found).toMatchObject({ minor: 2, unknownOptions: ["_pq_.x"] });
    expect(found.kind === "startup" && found.parameters.has("_pq_.x")).toBe(false);
  });

  test("cut off at any byte it is a protocol violation, never a read behind its end", () => {
    const body = "user\0app\0database\0one\0\0";
    for (let length = 0; length < body.length; length++) {
      expect(() => read(packet(PROTOCOL_3_0, body.slice(0, length)))).toThrow(expect.objectContaining({ code: "PROTOCOL_VIOLATION" }));
    }
  });

  test("bytes behind its end are a protocol violation", () => {
    for (const body of ["\0x", "user\0a\0\0\0", "user\0a\0\0user\0b\0\0"])
      expect(() => read(packet(PROTOCOL_3_0, body))).toThrow("expected terminator as last byte");
  });

  test.each([
    [0, "0.0"],
    [0x20000, "2.0"],
    [0x40000, "4.0"],
    [-1, "65535.65535"],
  ])("of protocol %d is refused by name", (code, version) => {
    expect(() => read(packet(code, "\0"))).toThrow(`unsupported frontend protocol ${version}`);
  });

  test("any bytes at all are read or refused", () => {
    let state = 1;
    for (let round = 0; round < 2000; round++) {
      const bytes = Buffer.alloc(round % 60);
      for (let i = 0; i < bytes.length; i++) {
        state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
        bytes[i] = (state >>> 8) % 3 === 0 ? 0 : (state >>> 12) & 0xff;
      }
      try {
        expect(read(packet(PROTOCOL_3_0, bytes)).kind).toBe("startup");
      } catch (error) {
        expect(error).toBeInstanceOf(PoolerError);
      }
    }
  });
});

describe("requests", () => {
  test("for encryption", () => {
    expect(read(packet(Request.SSL))).toEqual({ kind: "ssl" });
    expect(read(packet(Request.GSSENC))).toEqual({ kind: "gssenc" });
  });

  test("to cancel: process and key are signed numbers", () => {
    expect(read(packet(Request.CANCEL, Buffer.concat([int32(7), int32(-8)])))).toEqual({ kind: "cancel", processId: 7, secretKey: -8 });
    for (const length of [0, 4, 7, 9, 32]) expect(() => read(packet(Request.CANCEL, Buffer.alloc(length)))).toThrow("cancel request");
  });
});

describe("options", () => {
  test.each([
    ["", {}],
    ["   ", {}],
    ["-c a=b", { a: "b" }],
    ["-ca=b", { a: "b" }],
    ["--a=b", { a: "b" }],
    ["--work-mem=3MB", { work_mem: "3MB" }],
    ["-c a=b -c c=d=e --f=", { a: "b", c: "d=e", f: "" }],
    ["-c a=one\\ two", { a: "one two" }],
    ["-c a=back\\\\slash", { a: "back\\slash" }],
    ["\t-c\n a=b ", { a: "b" }],
    ["-c a=1 -c a=2", { a: "2" }],
    ["-c search_path=a,b", { search_path: "a,b" }],
  ])("%j", (options, expected) => {
    expect(Object.fromEntries(readOptions(options))).toEqual(expected);
  });

  test.each([["-c"], ["-c a"], ["-c =b"], ["--"], ["-x"], ["-d 5"], ["a=b"], ["-c a=b stray"]])("%j is refused", (options) => {
    expect(() => readOptions(options)).toThrow(PoolerError);
  });
});
