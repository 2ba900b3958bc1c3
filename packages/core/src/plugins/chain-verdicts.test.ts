import { constants, structs } from "@pooler/plugin-abi";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createRig, parametersOf, type Rig } from "../../fixtures/chain-rig.js";
import { createPluginCompiler } from "../../fixtures/compile-plugin.js";
import type { ChainDecision } from "./types.js";

// The plugin copies the bytes of $1 into its output frame and returns $2: whatever these tests write is what the host reads.

const compiler = createPluginCompiler();
let rig: Rig;
beforeAll(() => {
  rig = createRig([{ name: "p", library: compiler.compile("puppet") }]);
});
afterAll(() => {
  rig.dispose();
  compiler.dispose();
});
afterEach(() => {
  // Whatever the answer was, the next one is read as if nothing had happened.
  expect(rig.ask("p:forward 1 1")).toMatchObject({ outcome: "route", shard: 1 });
});

const { fields, size: headerBytes } = structs.pooler_output;
type Field = keyof typeof fields;

/** An output frame that is made by hand. */
class Answer {
  readonly bytes: Buffer = Buffer.alloc(32_768);
  #end: number = headerBytes;

  constructor() {
    this.set("size", headerBytes);
  }

  set(field: Field, value: number, at = 0): this {
    return this.word(fields[field] + at, value);
  }

  word(at: number, value: number): this {
    this.bytes.writeUInt32LE(value >>> 0, at);
    return this;
  }

  text(field: Field, text: string | Buffer): this {
    return this.slice(fields[field], text);
  }

  slice(at: number, text: string | Buffer): this {
    const bytes = Buffer.from(text);
    this.bytes.set(bytes, this.#end);
    this.word(at, this.#end).word(at + 4, bytes.length);
    this.#end += bytes.length;
    return this;
  }

  /** Returns where the first element is. */
  array(field: Field, count: number, stride: number): number {
    this.#end = (this.#end + 7) & ~7;
    const start = this.#end;
    this.set(field, start).set(field, count, 4).set(field, stride, 8);
    this.#end += count * stride;
    return start;
  }

  get end(): number {
    return this.#end;
  }

  /** What the host makes of it. */
  ask(status: number): ChainDecision {
    if (this.bytes.readUInt32LE(fields.used) === 0) this.set("used", this.#end);
    const returned = Buffer.alloc(4);
    returned.writeInt32LE(status);
    return rig.ask("p:raw", {
      parameters: parametersOf([
        { value: this.bytes, format: 1 },
        { value: returned, format: 1 },
      ]),
    });
  }
}

const malformed = (problem: string) => ({
  outcome: "error",
  error: { sqlstate: "XX000", message: `plugin "p" failed: its answer is malformed: ${problem}`, failed: true },
});

const { POOLER_FORWARD, POOLER_ERROR, POOLER_REWRITE, POOLER_INTERCEPT } = constants;

/** Two columns, int4 in binary and text in text; two rows, one NULL. */
function tableAnswer(): Answer {
  const answer = new Answer();
  const column = structs.pooler_column;
  // A stride that is larger than the element, as a newer plugin may have it.
  const columns = answer.array("columns", 2, column.size + 8);
  const shapes = [
    { name: "id", oid: 23, size: 4, format: 1 },
    { name: "größe", oid: 25, size: -1, format: 0 },
  ];
  shapes.forEach((shape, index) => {
    const at = columns + index * (column.size + 8);
    answer.word(at + column.fields.type_oid, shape.oid).word(at + column.fields.type_size, shape.size);
    answer.word(at + column.fields.type_modifier, -1).word(at + column.fields.format, shape.format);
    answer.slice(at + column.fields.name, shape.name);
  });
  const value = structs.pooler_value;
  const values = answer.array("values", 4, value.size);
  answer.slice(values, Buffer.from([0, 0, 0, 7])).slice(values + value.size, "");
  answer
    .slice(values + 2 * value.size, Buffer.from([0, 0, 0, 8]))
    .word(values + 3 * value.size + value.fields.flags, constants.POOLER_VALUE_NULL);
  return answer;
}

describe("a refusal", () => {
  it("has sqlstate, message, detail and hint", () => {
    const answer = new Answer().text("sqlstate", "P0001").text("message", "nö").text("detail", "because").text("hint", "");
    expect(answer.ask(POOLER_ERROR)).toMatchObject({
      outcome: "error",
      error: { sqlstate: "P0001", message: "nö", detail: "because", hint: "", failed: false },
    });
  });

  it("has defaults for what is absent", () => {
    expect(new Answer().ask(POOLER_ERROR).error).toEqual({
      sqlstate: "42501",
      message: 'plugin "p" refused the statement',
      detail: null,
      hint: null,
      failed: false,
    });
  });

  it("cannot end the protocol's message with a NUL, nor break it with bytes that are no UTF-8", () => {
    const answer = new Answer().text("message", "a\0b").text("detail", Buffer.from([0x61, 0xff, 0x62]));
    expect(answer.ask(POOLER_ERROR).error).toMatchObject({ message: "a\ufffdb", detail: "a\ufffdb" });
  });
});

describe("an intercept", () => {
  it("has columns, values in text and binary, NULL, and a tag", () => {
    expect(tableAnswer().text("command_tag", "SHOW").ask(POOLER_INTERCEPT)).toMatchObject({
      outcome: "intercept",
      intercept: {
        columns: [
          { name: "id", typeOid: 23, typeModifier: -1, typeSize: 4, format: 1 },
          { name: "größe", typeOid: 25, typeModifier: -1, typeSize: -1, format: 0 },
        ],
        values: [Buffer.from([0, 0, 0, 7]), Buffer.from(""), Buffer.from([0, 0, 0, 8]), null],
        rowCount: 2,
        commandTag: "SHOW",
      },
    });
  });

  it("has the tag of a SELECT when it gives none", () => {
    expect(tableAnswer().ask(POOLER_INTERCEPT).intercept?.commandTag).toBe("SELECT 2");
    expect(new Answer().ask(POOLER_INTERCEPT).intercept).toEqual({ columns: [], values: [], rowCount: 0, commandTag: "SELECT 0" });
  });

  it("is the caller's to keep", () => {
    const { intercept } = tableAnswer().ask(POOLER_INTERCEPT);
    new Answer().text("message", "x".repeat(4000)).ask(POOLER_ERROR);
    expect(intercept?.values[2]).toEqual(Buffer.from([0, 0, 0, 8]));
  });
});

describe("garbage", () => {
  const firstColumn = headerBytes;
  const firstValue = (answer: Answer) => answer.bytes.readUInt32LE(fields.values);

  it.each<[string, number, Answer, string]>([
    ["size of another struct", POOLER_FORWARD, new Answer().set("size", 64), `size is 64, the host had set ${headerBytes}`],
    ["size of nothing", POOLER_ERROR, new Answer().set("size", 0), `size is 0, the host had set ${headerBytes}`],
    ["used beyond the frame", POOLER_FORWARD, new Answer().set("used", 65537), "used is 65537 of a frame of 65536 bytes"],
    ["a role that is none", POOLER_FORWARD, new Answer().set("role", 3), "role is 3"],
    ["a shard that is none", POOLER_FORWARD, new Answer().set("shard", 0xfffffffd), "shard is 4294967293, the cluster has 2"],
    ["an sqlstate of four", POOLER_ERROR, new Answer().text("sqlstate", "4250"), 'sqlstate is "4250", not five of 0-9 and A-Z'],
    [
      "an sqlstate of many",
      POOLER_ERROR,
      new Answer().text("sqlstate", "4".repeat(99)),
      `sqlstate is "${"4".repeat(20)}", not five of 0-9 and A-Z`,
    ],
    [
      "a slice past the end",
      POOLER_ERROR,
      new Answer().set("message", 8000).set("message", 9000, 4),
      `message ends at byte 17000, beyond the ${headerBytes} bytes used`,
    ],
    [
      "a slice that wraps",
      POOLER_ERROR,
      new Answer().set("detail", 0xfffffff8).set("detail", 0x10, 4),
      `detail ends at byte 4294967304, beyond the ${headerBytes} bytes used`,
    ],
    [
      "a slice of everything",
      POOLER_ERROR,
      new Answer().set("hint", headerBytes).set("hint", 0xffffffff, 4),
      `hint ends at byte ${0xffffffff + headerBytes}, beyond the ${headerBytes} bytes used`,
    ],
    [
      "a slice in the header",
      POOLER_ERROR,
      new Answer().set("message", 8).set("message", 4, 4),
      `message begins at byte 8, inside the header of ${headerBytes} bytes`,
    ],
    [
      "a slice beyond what was used",
      POOLER_ERROR,
      new Answer().text("message", "hello").set("used", headerBytes + 2),
      `message ends at byte ${headerBytes + 5}, beyond the ${headerBytes + 2} bytes used`,
    ],
    ["a rewrite of nothing", POOLER_REWRITE, new Answer(), "a rewrite without sql"],
    ["a rewrite with a NUL", POOLER_REWRITE, new Answer().text("sql", "SELECT\0"), "sql has a NUL byte"],
    ["a rewrite of no statement", POOLER_REWRITE, new Answer().text("sql", ""), "its rewrite holds 0 statements instead of one"],
    ["a tag with a NUL", POOLER_INTERCEPT, new Answer().text("command_tag", "SHOW\0"), "command_tag has a NUL byte"],
  ])("is a failure: %s", (_title, status, answer, problem) => {
    expect(answer.ask(status)).toMatchObject(malformed(problem));
  });

  it.each<[string, (answer: Answer) => void, string]>([
    ["a huge count", (answer) => answer.set("values", 0xffffffff, 4), "values has 4294967295 elements, 16777216 are allowed"],
    ["a count past the end", (answer) => answer.set("values", 400, 4), "values ends at byte"],
    ["a huge stride", (answer) => answer.set("values", 0xfffffff0, 8), "values ends at byte"],
    ["a stride below the element", (answer) => answer.set("values", 8, 8), "values has a stride of 8, an element has 16 bytes"],
    ["a stride of nothing", (answer) => answer.set("columns", 0, 8), "columns has a stride of 0, an element has 24 bytes"],
    ["an odd stride", (answer) => answer.set("values", 17, 8), "values is not aligned"],
    ["an odd offset", (answer) => answer.set("columns", 121), "columns is not aligned"],
    ["elements without an offset", (answer) => answer.set("values", 0), "values has 4 elements and no offset"],
    ["too many columns", (answer) => answer.set("columns", 1665, 4), "columns has 1665 elements, 1664 are allowed"],
    ["half a row", (answer) => answer.set("values", 3, 4), "3 values do not make rows of 2 columns"],
    ["values without columns", (answer) => answer.set("columns", 0, 4), "4 values do not make rows of 0 columns"],
    ["a value past the end", (answer) => answer.word(firstValue(answer) + 4, 8000), "value 0 ends at byte"],
    ["a value that is neither", (answer) => answer.word(firstValue(answer), 0), "value 0 is neither a value nor NULL"],
    ["a format of its own", (answer) => answer.word(firstColumn + structs.pooler_column.fields.format, 2), "the format of column 0 is 2"],
    [
      "a type size of its own",
      (answer) => answer.word(firstColumn + structs.pooler_column.fields.type_size, 40_000),
      "type_size of column 0 is 40000",
    ],
    ["a column without a name", (answer) => answer.word(firstColumn, 0), "column 0 has no name"],
    ["a NUL in a name", (answer) => answer.slice(firstColumn, "a\0"), "the name of column 0 has a NUL byte"],
  ])("in rows is a failure: %s", (_title, spoil, problem) => {
    const answer = tableAnswer();
    spoil(answer);
    const { error } = answer.ask(POOLER_INTERCEPT);
    expect(error).toMatchObject({ sqlstate: "XX000", failed: true });
    expect(error?.message).toContain(`plugin "p" failed: its answer is malformed: ${problem}`);
  });

  it("in the parameters of a rewrite is a failure", () => {
    const rewrite = () => {
      const answer = new Answer().text("sql", "SELECT $1").set("flags", constants.POOLER_OUT_PARAMETERS);
      return { answer, at: answer.array("parameters", 1, structs.pooler_parameter.size) };
    };
    const missing = rewrite();
    expect(missing.answer.ask(POOLER_REWRITE)).toMatchObject(malformed("parameter $1 is neither a value nor NULL"));
    const format = rewrite();
    format.answer.slice(format.at, "1").word(format.at + structs.pooler_parameter.fields.format, 7);
    expect(format.answer.ask(POOLER_REWRITE)).toMatchObject(malformed("the format of parameter $1 is 7, neither 0 (text) nor 1 (binary)"));
    const many = rewrite();
    many.answer.set("parameters", 65536, 4);
    expect(many.answer.ask(POOLER_REWRITE)).toMatchObject(malformed("parameters has 65536 elements, 65535 are allowed"));
  });

  it("in the message of a plugin that failed anyway is left out", () => {
    const answer = new Answer().set("message", 9000).set("message", 9000, 4);
    expect(answer.ask(constants.POOLER_FAILED).error?.message).toBe('plugin "p" failed: it gave no reason');
  });

  it("cannot multiply: values that share bytes have a limit together", () => {
    const share = (count: number) => {
      const answer = tableAnswer();
      const values = answer.array("values", count, 16);
      // Each of them is the whole frame.
      answer.set("used", 65536);
      for (let i = 0; i < count; i++) answer.word(values + 16 * i, headerBytes).word(values + 16 * i + 4, 65536 - headerBytes);
      return answer.ask(POOLER_INTERCEPT);
    };
    expect(share(100).outcome).toBe("intercept");
    expect(share(1100)).toMatchObject(malformed("the values have more than 67108864 bytes together"));
  });

  it("of random bytes never gets further than a failure or a valid answer", () => {
    // xorshift32: the same bytes in every run
    let seed = 0x2545f491;
    const random = () => {
      seed ^= seed << 13;
      seed ^= seed >>> 17;
      seed ^= seed << 5;
      return seed >>> 0;
    };
    const outcomes = new Set<string>();
    for (let round = 0; round < 3000; round++) {
      const answer = round % 2 === 0 ? tableAnswer().text("sql", "SELECT 1").text("sqlstate", "42501") : new Answer();
      answer.set("used", answer.end + (random() % 3 === 0 ? 4000 : 0));
      for (let i = random() % 6; i >= 0; i--) {
        const value = [random(), random() % 300, 0, 0xffffffff][random() % 4] ?? 0;
        answer.word(4 * (random() % 100), value);
      }
      const decision = answer.ask((random() % 7) - 1);
      outcomes.add(decision.error === null ? decision.outcome : decision.error.failed ? "failed" : "refused");
    }
    expect([...outcomes].sort()).toEqual(["failed", "intercept", "refused", "route"]);
  });
});
