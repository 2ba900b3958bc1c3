import { describe, expect, test } from "vitest";
import { PoolerError } from "../base/errors.js";
import { BindMessage, cstringEnd, ParseMessage } from "./frontend.js";
import { MessageWriter } from "./message-writer.js";

const around = Buffer.from("around");

/** The body in the middle of a larger buffer, as it comes from the wire: what is behind its end must not be read. */
function inMiddle(body: Uint8Array): { buffer: Buffer; start: number; end: number } {
  return { buffer: Buffer.concat([around, body, Buffer.alloc(64)]), start: around.length, end: around.length + body.length };
}

const body = (write: (to: MessageWriter) => void): Buffer => {
  const writer = new MessageWriter(8);
  write(writer);
  return writer.toBuffer();
};

const parseBody = body((to) => to.cstring("näme").cstring("SELECT $1, $2").int16(2).int32(23).int32(-1));
const bindBody = body((to) =>
  to.cstring("portal").cstring("statement").int16(2).int16(1).int16(0).int16(2).int32(4).int32(7).int32(-1).int16(2).int16(0).int16(1),
);

function readParse(bytes: Uint8Array): ParseMessage & { readonly buffer: Buffer } {
  const { buffer, start, end } = inMiddle(bytes);
  const message = new ParseMessage();
  message.read(buffer, start, end);
  return Object.assign(message, { buffer });
}

function readBind(bytes: Uint8Array): BindMessage & { readonly whole: Buffer } {
  const { buffer, start, end } = inMiddle(bytes);
  const message = new BindMessage();
  message.readNames(buffer, start, end);
  message.readParameters(buffer, end, [23, 25]);
  return Object.assign(message, { whole: buffer });
}

test("a string without an end within the message is a protocol violation", () => {
  const bytes = Buffer.from("abc\0");
  expect(cstringEnd(bytes, 0, 4, "Any")).toBe(3);
  expect(() => cstringEnd(bytes, 0, 3, "Any")).toThrow("invalid Any message: it is cut off");
  expect(() => cstringEnd(bytes, 4, 4, "Any")).toThrow(PoolerError);
});

describe("Parse", () => {
  test("name, text and types", () => {
    const message = readParse(parseBody);
    expect(message.buffer.toString("utf8", message.nameStart, message.nameEnd)).toBe("näme");
    expect(message.buffer.toString("utf8", message.sqlStart, message.sqlEnd)).toBe("SELECT $1, $2");
    expect(message.typeOids(message.buffer)).toEqual([23, 0xffffffff]);
  });

  test("the unnamed statement with an empty text", () => {
    const message = readParse(Buffer.alloc(4));
    expect([message.nameEnd - message.nameStart, message.sqlEnd - message.sqlStart, message.typeCount]).toEqual([0, 0, 0]);
  });

  test("cut off at any byte, or followed by one, it is a protocol violation", () => {
    for (let length = 0; length < parseBody.length; length++)
      expect(() => readParse(parseBody.subarray(0, length))).toThrow(expect.objectContaining({ code: "PROTOCOL_VIOLATION" }));
    expect(() => readParse(Buffer.concat([parseBody, Buffer.alloc(1)]))).toThrow(PoolerError);
  });
});

describe("Bind", () => {
  test("names, formats, values and result formats", () => {
    const message = readBind(bindBody);
    const { whole } = message;
    expect(whole.toString("latin1", message.portalStart, message.portalEnd)).toBe("portal");
    expect(whole.toString("latin1", message.statementStart, message.statementEnd)).toBe("statement");
    expect(message.count).toBe(2);
    expect([...message.formats.subarray(0, 2)]).toEqual([1, 0]);
    expect([...message.lengths.subarray(0, 2)]).toEqual([4, -1]);
    expect(whole.readInt32BE(message.offsets[0])).toBe(7);
    expect(message.resultFormats(whole)).toEqual([0, 1]);
    expect(message.typeOids).toEqual([23, 25]);
  });

  test("one format stands for all values, none for text", () => {
    const one = body((to) => to.byte(0).byte(0).int16(1).int16(1).int16(2).int32(0).int32(0).int16(0));
    expect([...readBind(one).formats.subarray(0, 2)]).toEqual([1, 1]);
    const none = body((to) => to.byte(0).byte(0).int16(0).int16(2).int32(0).int32(0).int16(0));
    expect([...readBind(none).formats.subarray(0, 2)]).toEqual([0, 0]);
  });

  test("as many values as the protocol allows", () => {
    const many = body((to) => {
      to.byte(0).byte(0).int16(0).int16(65_535);
      for (let i = 0; i < 65_535; i++) to.int32(1).byte(i & 0xff);
      to.int16(0);
    });
    const message = readBind(many);
    expect(message.count).toBe(65_535);
    expect(message.whole[message.offsets[65_534] as number]).toBe(65_534 & 0xff);
  });

  test("cut off at any byte, or followed by one, it is a protocol violation", () => {
    for (let length = 0; length < bindBody.length; length++)
      expect(() => readBind(bindBody.subarray(0, length))).toThrow(expect.objectContaining({ code: "PROTOCOL_VIOLATION" }));
    expect(() => readBind(Buffer.concat([bindBody, Buffer.alloc(1)]))).toThrow(PoolerError);
  });

  test.each([
    ["a value with a length below -1", (to: MessageWriter) => to.byte(0).byte(0).int16(0).int16(1).int32(-2).int16(0)],
    ["a value that is longer than the message", (to: MessageWriter) => to.byte(0).byte(0).int16(0).int16(1).int32(0x7fffffff).int16(0)],
    ["another number of formats than of values", (to: MessageWriter) => to.byte(0).byte(0).int16(2).int32(0).int16(1).int32(0).int16(0)],
    ["more formats than there are bytes", (to: MessageWriter) => to.byte(0).byte(0).int16(65_535).int16(0).int16(0)],
    ["more values than there are bytes", (to: MessageWriter) => to.byte(0).byte(0).int16(0).int16(65_535).int16(0)],
    ["more result formats than there are bytes", (to: MessageWriter) => to.byte(0).byte(0).int16(0).int16(0).int16(65_535)],
  ])("%s is a protocol violation", (_, write) => {
    expect(() => readBind(body(write))).toThrow(expect.objectContaining({ code: "PROTOCOL_VIOLATION" }));
  });

  test("any byte changed: read or refused, never read behind the message's end", () => {
    for (let at = 0; at < bindBody.length; at++) {
      for (let value = 0; value < 256; value++) {
        const changed = Buffer.from(bindBody);
        changed[at] = value;
        try {
          const message = readBind(changed);
          for (let i = 0; i < message.count; i++) {
            const end = (message.offsets[i] as number) + Math.max(0, message.lengths[i] as number);
            if (end > around.length + bindBody.length) throw new Error(`byte ${at} = ${value}: value ${i} ends behind the message`);
          }
        } catch (error) {
          if (!(error instanceof PoolerError)) throw error;
        }
      }
    }
  });
});
