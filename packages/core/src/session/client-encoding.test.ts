import { expect, test } from "vitest";
import { PoolerError } from "../base/errors.js";
import { writePoolerError } from "../protocol/backend.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { encodeError, encodeText } from "./client-encoding.js";

test.each([
  ["UTF8", "größe €", Buffer.from("größe €")],
  ["SQL_ASCII", "größe", Buffer.from("größe")],
  ["LATIN1", "größe €", Buffer.from("gr\xf6\xdfe ?", "latin1")],
  ["LATIN9", "10 €", Buffer.from("10 \xa4", "latin1")],
  ["WIN1251", "да", Buffer.from("\xe4\xe0", "latin1")],
  ["EUC_JP", "日本 ok", Buffer.from("?? ok")],
  ["SJIS", "größe \u{1f600}", Buffer.from("gr??e ?")],
  ["no such encoding", "größe", Buffer.from("gr??e")],
])("a text in %s: %s", (encoding, text, bytes) => {
  expect(encodeText(text, encoding)).toEqual(bytes);
});

test("an error keeps its fields, and its length says how long it is", () => {
  const writer = new MessageWriter();
  writePoolerError(writer, new PoolerError("PLUGIN_REFUSED", "größe", { detail: "länge" }));
  const error = encodeError(writer.toBuffer(), "LATIN1");
  expect(error.readInt32BE(1)).toBe(error.length - 1);
  expect(error.toString("latin1", 5)).toContain("Mgröße\0Dlänge\0");
});
