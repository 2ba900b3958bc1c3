import { expect, test } from "vitest";
import { createMessageScanner } from "./message-scanner.js";

function message(type: string, body: string): Buffer {
  const bytes = Buffer.alloc(5 + Buffer.byteLength(body));
  bytes.write(type, 0, "latin1");
  bytes.writeInt32BE(bytes.length - 1, 1);
  bytes.write(body, 5, "utf8");
  return bytes;
}

const stream = Buffer.concat([
  message("T", "a description"),
  message("D", "Z".repeat(40)),
  message("n", ""),
  message("E", "SERROR\0C22012\0Mdivision by zero – really\0\0"),
  message("Z", "I"),
]);

test("every message is found wherever the stream is cut, and none in a body", () => {
  for (let first = 0; first <= stream.length; first++) {
    for (const second of [first, Math.min(first + 1, stream.length), Math.min(first + 6, stream.length)]) {
      const types: string[] = [];
      const scanner = createMessageScanner((type) => types.push(String.fromCharCode(type)));
      for (const part of [stream.subarray(0, first), stream.subarray(first, second), stream.subarray(second)]) scanner.feed(part);
      expect(types.join("")).toBe("TDnEZ");
    }
  }
});

test("an error is told once, by SQLSTATE and text", () => {
  const scanner = createMessageScanner(() => {});
  expect(scanner.takeError()).toBeUndefined();
  scanner.feed(stream);
  expect(scanner.takeError()).toBe("22012: division by zero – really");
  expect(scanner.takeError()).toBeUndefined();
});
