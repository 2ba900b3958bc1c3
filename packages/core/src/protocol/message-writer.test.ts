import { expect, test } from "vitest";
import { MessageWriter, readInt32, readUint16 } from "./message-writer.js";

test("messages of any size have their true length, one behind the other", () => {
  for (const size of [0, 1, 47, 48, 49, 1000, 100_000]) {
    const writer = new MessageWriter(8);
    writer.begin(0x51).cstring("x".repeat(size)).end().begin(0).int32(7).end();
    const bytes = writer.toBuffer();
    expect(bytes[0]).toBe(0x51);
    expect(bytes.readInt32BE(1)).toBe(4 + size + 1);
    expect(bytes.toString("latin1", 5, 5 + size)).toBe("x".repeat(size));
    expect([...bytes.subarray(5 + size + 1)]).toEqual([0, 0, 0, 8, 0, 0, 0, 7]);
  }
});

test("text is UTF-8, numbers are big-endian", () => {
  const writer = new MessageWriter(1);
  writer.cstring("ä€𝄞").int16(0xfffe).int32(-2).byte(0x1ff).bytes(Buffer.from("abcdef"), 1, 3);
  expect(writer.toBuffer().toString("hex")).toBe(`${Buffer.from("ä€𝄞\0").toString("hex")}fffefffffffeff6263`);
});

test("reset() begins anew, and a copy stays what it was", () => {
  const writer = new MessageWriter(4);
  const first = writer.begin(0x41).cstring("first").end().toBuffer();
  writer.reset().begin(0x42).cstring("2").end();
  expect(first.toString("latin1", 5)).toBe("first\0");
  expect(writer.toBuffer().toString("latin1")).toBe("B\0\0\0\x062\0");
});

test("what it writes can be read", () => {
  const writer = new MessageWriter();
  const values = [0, 1, -1, 0x7fffffff, -0x80000000, 0x00ff00ff];
  for (const value of values) writer.int32(value);
  expect(values.map((_, i) => readInt32(writer.buffer, 4 * i))).toEqual(values);
  expect(readUint16(Buffer.from([0xff, 0xfe]), 0)).toBe(0xfffe);
});
