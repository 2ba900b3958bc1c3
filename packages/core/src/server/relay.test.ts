// A server's stream in pieces of every size: what the client gets, and what the session hears, must not depend on where it is cut.
import { describe, expect, test } from "vitest";
import { PoolerError } from "../base/errors.js";
import { Backend } from "../protocol/codes.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { Relay, type RelayTarget } from "./relay.js";
import { Expect, Hide, type LocalReply, ReplyQueue, type ReplyWatcher } from "./reply-queue.js";

function message(type: number, body: string | Uint8Array = ""): Buffer {
  const bytes = Buffer.from(body);
  return new MessageWriter(bytes.length + 8).begin(type).bytes(bytes).end().toBuffer();
}

const ready = (status: string): Buffer => message(Backend.READY_FOR_QUERY, status);
const error = (sqlstate: string, text = "no"): Buffer => message(Backend.ERROR_RESPONSE, `SERROR\0VERROR\0C${sqlstate}\0M${text}\0\0`);
const setting = (name: string, value: string): Buffer => message(Backend.PARAMETER_STATUS, `${name}\0${value}\0`);
const row = (text: string): Buffer => message(Backend.DATA_ROW, `\0\x01${text}`);
const columns = message(Backend.ROW_DESCRIPTION, "\0\x01some columns");
const complete = message(Backend.COMMAND_COMPLETE, "SELECT 1\0");
const parsed = message(Backend.PARSE_COMPLETE);
const bound = message(Backend.BIND_COMPLETE);
const closed = message(Backend.CLOSE_COMPLETE);
const noData = message(Backend.NO_DATA);
const parameters = message(Backend.PARAMETER_DESCRIPTION, "\0\x01\0\0\0\x17");
const notice = message(Backend.NOTICE_RESPONSE, "SNOTICE\0Mhello\0\0");
const notification = message(Backend.NOTIFICATION_RESPONSE, "\0\0\0\x07channel\0payload\0");
const local = (text: string): Buffer => message(0x21, text);

/** One thing that is expected of the server, what it says, and what the client is to see of it. */
interface Entry {
  readonly kind: number;
  readonly hide?: number;
  readonly payload?: Buffer | ReplyWatcher | LocalReply;
  readonly status?: number;
  readonly says: readonly Buffer[];
  readonly shows: readonly Buffer[];
}

class Recorder implements RelayTarget {
  passesNotifications = false;
  readonly events: string[] = [];
  #shown: Buffer[] = [];
  rerun = false;

  /** Bytes so far belong before whatever happens now. */
  #event(text: string): void {
    this.#flush();
    this.events.push(text);
  }

  #flush(): void {
    if (this.#shown.length > 0) this.events.push(`shown ${Buffer.concat(this.#shown).toString("latin1")}`);
    this.#shown = [];
  }

  finish(): string[] {
    this.#flush();
    return this.events;
  }

  deliver(buffer: Buffer, start: number, end: number): void {
    // A copy: the view is valid during the call only.
    this.#shown.push(Buffer.from(buffer.subarray(start, end)));
  }

  deliverLocal(reply: Buffer): void {
    this.#shown.push(Buffer.from(reply));
  }

  onReady(status: number): void {
    this.#event(`ready ${String.fromCharCode(status)}`);
  }

  runsAgain(): boolean {
    return this.rerun;
  }

  onError(buffer: Buffer, start: number, end: number, hidden: boolean): boolean {
    this.#event(`error ${buffer.toString("latin1", start, end)}${hidden ? " hidden" : ""}`);
    return !hidden;
  }

  onParameterStatus(buffer: Buffer, start: number, end: number): void {
    this.#event(`setting ${buffer.toString("latin1", start, end)}`);
  }

  onCopyIn(): void {
    this.#event("copy in");
  }
}

const watcher = (log: string[], name: string): ReplyWatcher => ({
  done: () => void log.push(`${name} done`),
  skipped: (failed) => void log.push(`${name} ${failed ? "failed" : "skipped"}`),
});

/** What comes out when the stream of all entries is cut at `cuts`. */
function run(entries: readonly Entry[], cuts: readonly number[], rerun = false): { shown: Buffer; events: string[] } {
  const queue = new ReplyQueue();
  const target = new Recorder();
  target.rerun = rerun;
  const relay = new Relay(queue, target);
  for (const { kind, hide, payload, status } of entries) queue.push(kind, hide, payload ?? null, status);
  relay.deliverLocal();
  const stream = Buffer.concat(entries.flatMap(({ says }) => says));
  const ends = [...cuts, stream.length];
  let at = 0;
  for (const end of ends) {
    // In a buffer of its own, somewhere in its middle, and gone afterwards.
    const chunk = Buffer.alloc(end - at + 7, 0x55);
    stream.copy(chunk, 3, at, end);
    relay.read(chunk, 3, 3 + end - at);
    chunk.fill(0xaa);
    at = end;
  }
  if (!queue.empty || relay.insideMessage) throw new Error("the stream has ended, and something is still owed");
  const events = target.finish();
  return {
    shown: Buffer.concat(events.filter((event) => event.startsWith("shown ")).map((event) => Buffer.from(event.slice(6), "latin1"))),
    events: events.filter((event) => !event.startsWith("shown ")),
  };
}

const sync = (status: string, patched?: string): Entry => ({
  kind: Expect.SYNC,
  status: patched?.charCodeAt(0) ?? 0,
  says: [ready(status)],
  shows: [ready(patched ?? status)],
});
const query = (...says: Buffer[]): Entry => ({ kind: Expect.QUERY, says, shows: says });
const execute = (...says: Buffer[]): Entry => ({ kind: Expect.EXECUTE, says, shows: says });
const hidden = ({ kind, says }: Entry): Entry => ({ kind, says, hide: Hide.ALL, shows: [] });
const parse: Entry = { kind: Expect.PARSE, says: [parsed], shows: [parsed] };
const bind: Entry = { kind: Expect.BIND, says: [bound], shows: [bound] };
const close: Entry = { kind: Expect.CLOSE, says: [closed], shows: [closed] };
const said = (text: string): Entry => ({ kind: Expect.LOCAL, payload: local(text), says: [], shows: [local(text)] });

const conversations: Readonly<Record<string, readonly Entry[]>> = {
  "a query": [query(columns, row("one"), row(""), row("x".repeat(60)), complete, ready("I"))],
  "several queries, notices and settings between": [
    query(notice, columns, row("1"), complete, setting("TimeZone", "UTC"), columns, complete, ready("T")),
    query(message(Backend.EMPTY_QUERY_RESPONSE), ready("T")),
    query(setting("a", "b"), error("22012"), ready("E")),
    query(complete, ready("I")),
  ],
  "a batch in detail": [
    parse,
    bind,
    { kind: Expect.DESCRIBE_PORTAL, says: [columns], shows: [columns] },
    execute(row("1"), row("2"), complete),
    close,
    sync("I"),
  ],
  "what the pooler sent on its own stays unseen": [
    hidden(close),
    hidden(parse),
    said("prepared here"),
    bind,
    execute(row("1"), message(Backend.PORTAL_SUSPENDED)),
    said("closed here"),
    sync("T"),
  ],
  "descriptions of which the client sees one half each": [
    { kind: Expect.DESCRIBE_STATEMENT, hide: Hide.ROW_DESCRIPTION, says: [parameters, columns], shows: [parameters] },
    { kind: Expect.DESCRIBE_STATEMENT, hide: Hide.PARAMETER_DESCRIPTION, says: [parameters, columns], shows: [columns] },
    { kind: Expect.DESCRIBE_STATEMENT, says: [parameters, noData], shows: [parameters, noData] },
    { kind: Expect.DESCRIBE_STATEMENT, hide: Hide.ALL, says: [parameters, noData], shows: [] },
    sync("I", "T"),
  ],
  "only answers of the pooler's own around a Sync": [said("a"), said("b"), sync("I"), said("c"), said("d")],
  "a hidden query whose settings are seen": [
    {
      kind: Expect.QUERY,
      hide: Hide.ALL_BUT_SETTINGS,
      says: [setting("TimeZone", "UTC"), complete, ready("T")],
      shows: [setting("TimeZone", "UTC")],
    },
    { kind: Expect.QUERY, hide: Hide.ALL, says: [setting("TimeZone", "UTC"), notice, complete, ready("T")], shows: [] },
    query(complete, ready("T")),
  ],
  "an error in the middle of a batch": [
    parse,
    { kind: Expect.BIND, says: [error("22012", "x".repeat(40))], shows: [error("22012", "x".repeat(40))] },
    { kind: Expect.EXECUTE, says: [], shows: [] },
    { kind: Expect.LOCAL, payload: local("never"), says: [], shows: [] },
    sync("E"),
    query(complete, ready("I")),
  ],
  "an error at Sync": [
    parse,
    bind,
    execute(complete),
    { kind: Expect.SYNC, says: [error("23503"), ready("I")], shows: [error("23503"), ready("I")] },
  ],
  "a batch that passes as it comes": [
    {
      kind: Expect.UNTIL_READY,
      says: [parsed, bound, columns, row("1"), complete, ready("I")],
      shows: [parsed, bound, columns, row("1"), complete, ready("I")],
    },
    { kind: Expect.UNTIL_READY, says: [bound, error("22012"), ready("I")], shows: [bound, error("22012"), ready("I")] },
  ],
  "COPY both ways": [
    query(
      message(Backend.COPY_OUT_RESPONSE, "\0\0\0"),
      message(Backend.COPY_DATA, "1\n"),
      message(Backend.COPY_DATA, "x".repeat(100)),
      message(Backend.COPY_DONE),
      complete,
      ready("I"),
    ),
    parse,
    bind,
    execute(message(Backend.COPY_IN_RESPONSE, "\0\0\0"), complete),
    sync("I"),
  ],
  notifications: [query(notification, complete, notification, ready("I"))].map((entry) => ({
    ...entry,
    shows: entry.says.filter((bytes) => bytes !== notification),
  })),
  "a batch that fails makes the transaction fail that the client believes in": [
    { kind: Expect.PARSE, says: [error("42601")], shows: [error("42601")] },
    { kind: Expect.SYNC, status: 0x54, says: [ready("I")], shows: [ready("E")] },
  ],
};

describe.each(Object.keys(conversations))("%s", (name) => {
  const entries = conversations[name] as readonly Entry[];
  const length = Buffer.concat(entries.flatMap(({ says }) => says)).length;
  const shows = Buffer.concat(entries.flatMap((entry) => entry.shows));
  const whole = run(entries, []);

  test("in one piece", () => {
    expect(whole.shown.toString("latin1")).toBe(shows.toString("latin1"));
  });

  /** Thousands of times: told apart by a string, and shown in full only when it differs. */
  const sameWith = (cuts: readonly number[]): void => {
    const cut = run(entries, cuts);
    if (!cut.shown.equals(whole.shown) || cut.events.join() !== whole.events.join()) expect({ cuts, ...cut }).toEqual({ cuts, ...whole });
  };

  test("cut at every position", () => {
    for (let cut = 0; cut <= length; cut++) sameWith([cut]);
  });

  test("cut at every two positions that are up to seven bytes apart", () => {
    for (let first = 0; first <= length; first++)
      for (let second = first; second <= Math.min(length, first + 7); second++) sameWith([first, second]);
  });

  test("byte by byte", () => {
    sameWith(Array.from({ length }, (_, i) => i));
  });
});

test("many messages in one chunk reach the client in one write", () => {
  const queue = new ReplyQueue();
  let writes = 0;
  const relay = new Relay(queue, Object.assign(new Recorder(), { deliver: () => void writes++ }));
  queue.push(Expect.QUERY);
  const chunk = Buffer.concat([columns, ...Array.from({ length: 1000 }, () => row("x")), complete, ready("I")]);
  relay.read(chunk, 0, chunk.length);
  expect(writes).toBe(1);
});

test("random conversations, cut at random: the client sees what it is to see, watchers hear what became of each message", () => {
  let state = 20_240_711;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >>> 8) % below;
  };
  for (let round = 0; round < 400; round++) {
    const log: string[] = [];
    const expected: string[] = [];
    const entries: Entry[] = [];
    for (let unit = random(4) + 1; unit > 0; unit--) {
      if (random(3) === 0) {
        const says = [columns, ...Array.from({ length: random(5) }, (_, i) => row("r".repeat(random(40) + i))), complete, ready("I")];
        if (random(2) === 0) says.splice(random(says.length), 0, notice);
        entries.push(random(4) === 0 ? hidden(query(...says)) : query(...says));
        continue;
      }
      const count = random(8);
      const failsAt = random(3) === 0 ? random(count + 1) : -1;
      for (let i = 0; i < count; i++) {
        const name = `${round}.${unit}.${i}`;
        const fails = failsAt === i;
        const passed = failsAt >= 0 && i > failsAt;
        const kind = random(6);
        const hide = random(3) === 0;
        if (kind === 5) {
          // The one at which it would fail is no message of the server's: the next one fails, or nothing does.
          entries.push({ kind: Expect.LOCAL, payload: local(name), says: [], shows: passed ? [] : [local(name)] });
          if (!fails) continue;
          entries.push({ kind: Expect.PARSE, payload: watcher(log, name), says: [error("42601", name)], shows: [error("42601", name)] });
          expected.push(`${name} failed`);
          continue;
        }
        const base = [
          parse,
          bind,
          close,
          execute(row(name), complete),
          { kind: Expect.DESCRIBE_STATEMENT, says: [parameters, noData], shows: [parameters, noData] },
        ][kind] as Entry;
        const says = passed ? [] : fails ? [error("22012", name)] : base.says;
        expected.push(`${name} ${passed ? "skipped" : fails ? "failed" : "done"}`);
        entries.push({
          kind: base.kind,
          hide: hide ? Hide.ALL : Hide.NOTHING,
          payload: watcher(log, name),
          says,
          shows: passed ? [] : fails ? says : hide ? [] : base.shows,
        });
      }
      entries.push(sync(failsAt >= 0 ? "E" : "T"));
    }
    const length = Buffer.concat(entries.flatMap(({ says }) => says)).length;
    const cuts = Array.from({ length: random(12) }, () => random(length + 1)).sort((a, b) => a - b);
    const { shown } = run(entries, cuts);
    expect(shown.toString("latin1")).toBe(Buffer.concat(entries.flatMap(({ shows }) => shows)).toString("latin1"));
    expect(log).toEqual(expected);
  }
});

describe("a unit that will be sent once more", () => {
  const unit: readonly Entry[] = [
    hidden(close),
    { kind: Expect.DESCRIBE_STATEMENT, says: [parameters, error("0A000", "cached plan must not change result type")], shows: [] },
    { kind: Expect.BIND, says: [], shows: [] },
    { kind: Expect.SYNC, says: [ready("I")], shows: [] },
  ];

  test("shows nothing of its first try, not even the half of a description", () => {
    const length = Buffer.concat(unit.flatMap(({ says }) => says)).length;
    for (let cut = 0; cut <= length; cut++) {
      const { shown, events } = run(unit, [cut], true);
      expect(shown).toHaveLength(0);
      expect(events).toEqual(["ready I"]);
    }
  });

  test("and shows all of it when it will not", () => {
    const { shown } = run(unit, [10]);
    expect(shown.equals(Buffer.concat([parameters, error("0A000", "cached plan must not change result type"), ready("I")]))).toBe(true);
  });
});

describe("what a server must not say", () => {
  const header = (type: number, length: number): Buffer => {
    const bytes = Buffer.alloc(5);
    bytes[0] = type;
    bytes.writeInt32BE(length, 1);
    return bytes;
  };
  const cases: readonly (readonly [string, number, Buffer])[] = [
    ["a length below four", Expect.QUERY, header(Backend.DATA_ROW, 3)],
    ["a negative length", Expect.QUERY, header(Backend.DATA_ROW, -1)],
    ["a length above a gigabyte", Expect.QUERY, header(Backend.DATA_ROW, 0x40000000)],
    ["a ReadyForQuery of another length", Expect.QUERY, header(Backend.READY_FOR_QUERY, 6)],
    ["an endless ParameterStatus", Expect.QUERY, header(Backend.PARAMETER_STATUS, 2 << 20)],
    ["an endless ErrorResponse", Expect.QUERY, header(Backend.ERROR_RESPONSE, 65 << 20)],
    ["rows for a Parse", Expect.PARSE, row("x")],
    ["ReadyForQuery before Sync was answered", Expect.BIND, ready("I")],
    ["a ParseComplete for a Bind", Expect.BIND, parsed],
    ["a row at Sync", Expect.SYNC, row("x")],
  ];

  test.each(cases)("%s", (_, kind, bytes) => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      const queue = new ReplyQueue();
      const relay = new Relay(queue, new Recorder());
      queue.push(kind);
      expect(() => {
        relay.read(bytes, 0, cut);
        relay.read(bytes, cut, bytes.length);
      }).toThrow(PoolerError);
    }
  });

  test("anything while nothing is owed, except what may come at any time", () => {
    for (const bytes of [row("x"), ready("I"), complete, parsed]) {
      expect(() => new Relay(new ReplyQueue(), new Recorder()).read(bytes, 0, bytes.length)).toThrow(PoolerError);
    }
    const target = new Recorder();
    const relay = new Relay(new ReplyQueue(), target);
    for (const bytes of [notice, setting("a", "b"), notification]) relay.read(bytes, 0, bytes.length);
    expect(target.finish()).toEqual([`setting ${setting("a", "b").toString("latin1")}`]);
    target.passesNotifications = true;
    relay.read(notification, 0, notification.length);
    expect(target.finish().at(-1)).toBe(`shown ${notification.toString("latin1")}`);
  });
});

test("the beginning of a message that has no end is known", () => {
  const queue = new ReplyQueue();
  const relay = new Relay(queue, new Recorder());
  queue.push(Expect.QUERY);
  const bytes = row("x".repeat(100));
  relay.read(bytes, 0, 50);
  expect(relay.insideMessage).toBe(true);
  relay.read(bytes, 50, bytes.length);
  expect(relay.insideMessage).toBe(false);
});
