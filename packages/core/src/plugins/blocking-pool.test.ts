// Plugins that may wait, in a chain: a real library whose calls wait on threads for a file to go.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { createRequest, createRig, createSession, type Rig, type RigPlugin } from "../../fixtures/chain-rig.js";
import { createPluginCompiler } from "../../fixtures/compile-plugin.js";
import { ChainAnswers } from "./chain-answers.js";
import { createChainDecision } from "./chain-calls.js";
import type { ChainDecision, ChainRequest } from "./types.js";
import type { ClientVerdict } from "./types-hooks.js";

const compiler = createPluginCompiler();
let folder: string;
const rigs: Rig[] = [];
const held = new Set<string>();

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pooler-waiter-"));
});
afterEach(async () => {
  for (const name of [...held]) release(name);
  for (const rig of rigs.splice(0)) {
    await until(() => rig.chain.running === 0);
    rig.dispose();
  }
  rmSync(folder, { recursive: true, force: true });
});
afterAll(() => compiler.dispose());

function hold(name: string): void {
  held.add(name);
  writeFileSync(join(folder, `hold-${name}`), "");
}

function release(name: string): void {
  held.delete(name);
  rmSync(join(folder, `hold-${name}`));
}

const logged = (): string[] => readFileSync(join(folder, "log"), "utf8").trim().split("\n");

/** Turns of the event loop, until it is so. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
}

function rigOf(changes: Partial<RigPlugin> = {}, defines: Readonly<Record<string, string>> = {}, more: readonly RigPlugin[] = []): Rig {
  const waiter = { name: "waiter", library: compiler.compile("waiter", defines), config: { folder }, ...changes };
  const rig = createRig([...more, waiter]);
  rigs.push(rig);
  return rig;
}

interface Asking {
  readonly decision: ChainDecision;
  /** Asks again with every answer, until the chain has come to a decision. */
  readonly decided: Promise<ChainDecision>;
}

/** As a session does it. */
function ask(rig: Rig, sql: string, changes: Partial<ChainRequest> = {}): Asking {
  const answers = new ChainAnswers();
  const decision = createChainDecision();
  const decided = new Promise<ChainDecision>((resolve) => {
    const go = (): void => {
      answers.rewind();
      rig.chain.ask({ ...createRequest(rig.statement(sql), createSession()), ...changes, answers }, decision);
      if (decision.pending === null) resolve(decision);
      else decision.pending.onAnswer = go;
    };
    go();
  });
  return { decision, decided };
}

const statsOf = (rig: Rig) => rig.chain.stats().at(-1);

describe("a question to a plugin that may wait", () => {
  it("is pending until the plugin has answered, while others are asked and answered", async () => {
    const rig = rigOf();
    hold("a");
    const first = ask(rig, "hold:a forbidden");
    expect(first.decision).toMatchObject({ outcome: "pending", pending: { plugin: "waiter" } });
    expect(await ask(rig, "something else").decided).toMatchObject({ outcome: "route", error: null });
    expect(await ask(rig, "rewrite").decided).toMatchObject({ outcome: "route", rewritten: rig.statement("SELECT 'rewritten' AS text") });
    expect(first.decision.outcome).toBe("pending");
    expect(statsOf(rig)).toMatchObject({ onThreads: { running: 1, stuck: 0 } });
    release("a");
    expect(await first.decided).toMatchObject({ outcome: "error", error: { message: "the waiter refuses", failed: false } });
    expect(statsOf(rig)).toMatchObject({ calls: 3, errors: 0, verdicts: [1, 0, 1, 1, 0], onThreads: { running: 0, stuck: 0 } });
  });

  it("has the same query_id when it is asked again, and is asked once", async () => {
    const rig = rigOf();
    hold("a");
    const { decision, decided } = ask(rig, "hold:a");
    const before = decision.queryId;
    release("a");
    expect((await decided).queryId).toBe(before);
    expect(statsOf(rig)?.calls).toBe(1);
    expect((await ask(rig, "another").decided).queryId).toBe(before + 1);
  });

  it("asks nobody before it twice, and counts their failures once", async () => {
    const puppet = (name: string): RigPlugin => ({ name, library: compiler.compile("puppet", { CAPABILITIES: "2" }), onError: "skip" });
    const rig = rigOf({}, {}, [puppet("a"), puppet("b")]);
    const decision = await ask(rig, "a:forward 2 1;b:status -1").decided;
    // a decides both: b and the waiter are asked about every statement only where nothing is to be decided.
    expect(decision).toMatchObject({ outcome: "route", role: 2, shard: 1 });
    hold("a");
    const asking = ask(rig, "a:forward 2 ffffffff;b:status -1;hold:a");
    release("a");
    expect(await asking.decided).toMatchObject({ outcome: "route", role: 2, plugin: "a" });
    const [a, b, waiter] = rig.chain.stats();
    expect(a).toMatchObject({ calls: 2, errors: 0 });
    expect(b).toMatchObject({ calls: 1, errors: 1 });
    expect(waiter).toMatchObject({ calls: 1 });
    expect(rig.lines).toHaveLength(1);
  });

  it("fails as it would if it did not wait", async () => {
    const rig = rigOf();
    expect(await ask(rig, "failing").decided).toMatchObject({
      outcome: "error",
      error: { failed: true, message: 'plugin "waiter" failed: the waiter failed', sqlstate: "XX000" },
    });
    expect(await ask(rig, "overuse").decided).toMatchObject({
      error: { failed: true, message: expect.stringContaining("used more") as unknown },
    });
    expect(statsOf(rig)).toMatchObject({ calls: 2, errors: 2 });
  });

  it("is asked about what a plugin before it made of the statement", async () => {
    const rig = rigOf({}, { CAPABILITIES: "POOLER_CAP_INSPECT" }, [{ name: "a", library: compiler.compile("puppet") }]);
    const { decided } = ask(rig, "a:rewrite[forbidden]");
    expect(await decided).toMatchObject({ outcome: "error", error: { message: "the waiter refuses" } });
  });

  it("may be dropped: the call goes on and its answer reaches nobody", async () => {
    const rig = rigOf();
    hold("a");
    const { decision, decided } = ask(rig, "hold:a forbidden");
    let heard = false;
    void decided.then(() => {
      heard = true;
    });
    decision.pending?.drop();
    expect(rig.chain.running).toBe(1);
    release("a");
    await until(() => rig.chain.running === 0);
    expect(heard).toBe(false);
  });
});

describe("the deadline", () => {
  it("is an error for who asked; the call keeps its place until it returns", async () => {
    const rig = rigOf({ blocking: { maxConcurrent: 1, deadlineMs: 500 } });
    hold("a");
    const { decided } = ask(rig, "hold:a");
    rig.clock.advance(499);
    expect(statsOf(rig)).toMatchObject({ timeouts: 0 });
    rig.clock.advance(1);
    expect(await decided).toMatchObject({
      outcome: "error",
      plugin: "waiter",
      error: { failed: true, code: "PLUGIN_TIMEOUT", message: 'plugin "waiter" failed: it did not answer within 500 ms' },
    });
    expect(statsOf(rig)).toMatchObject({ calls: 1, errors: 1, timeouts: 1, onThreads: { running: 1, stuck: 1 } });
    expect((await ask(rig, "next").decided).error).toMatchObject({ code: "PLUGIN_BUSY" });
    // What it does not want to be asked about takes no place.
    for (const _ of [1, 2]) expect(await ask(rig, "not mine").decided).toMatchObject({ outcome: "route", error: null });
    release("a");
    await until(() => rig.chain.running === 0);
    expect(statsOf(rig)).toMatchObject({ timeouts: 1, overloads: 1, onThreads: { running: 0, stuck: 0 } });
    expect(await ask(rig, "next").decided).toMatchObject({ outcome: "route" });
  });

  it("lets the next plugin be asked where the entry says so", async () => {
    const rig = rigOf({ blocking: { deadlineMs: 10 }, onError: "skip" });
    hold("a");
    const { decided } = ask(rig, "hold:a");
    rig.clock.advance(10);
    expect(await decided).toMatchObject({ outcome: "route", error: null });
    expect(statsOf(rig)).toMatchObject({ errors: 1, timeouts: 1 });
  });

  it("and a plugin all of whose calls are beyond it is found out", () => {
    const rig = rigOf({ blocking: { maxConcurrent: 2, deadlineMs: 100 } });
    hold("a");
    ask(rig, "hold:a");
    rig.clock.advance(50);
    ask(rig, "hold:a");
    rig.clock.advance(5_000);
    expect(rig.chain.stuckFor(0)).toEqual([{ plugin: 0, hook: "route_query" }]);
    expect(rig.chain.stuckFor(4_951)).toEqual([]);
    rig.clock.advance(51);
    expect(rig.chain.stuckFor(4_951)).toEqual([{ plugin: 0, hook: "route_query" }]);
  });
});

describe("max_concurrent", () => {
  it("is how many run at a time: what comes then is refused at once", async () => {
    const rig = rigOf({ blocking: { maxConcurrent: 3 } });
    hold("a");
    const running = [1, 2, 3].map((number) => ask(rig, `hold:a answer ${number}`));
    const refused = ask(rig, "hold:a answer 4");
    expect(refused.decision).toMatchObject({
      outcome: "error",
      error: {
        code: "PLUGIN_BUSY",
        sqlstate: "53300",
        message: 'plugin "waiter" is busy: 3 of its calls run already',
        hint: expect.stringContaining("max_concurrent") as unknown,
      },
    });
    expect(statsOf(rig)).toMatchObject({ overloads: 1, errors: 0, onThreads: { running: 3 } });
    release("a");
    const answers = await Promise.all(running.map(({ decided }) => decided));
    // Each has the answer to its own question.
    expect(answers.map(({ intercept }) => intercept?.values.map(String))).toEqual(
      [1, 2, 3].map((number) => [`hold:a answer ${number}`, "the second row"]),
    );
  });

  it("is four when the entry does not say", () => {
    const rig = rigOf();
    hold("a");
    const outcomes = [1, 2, 3, 4, 5].map((number) => ask(rig, `hold:a ${number}`).decision.outcome);
    expect(outcomes).toEqual(["pending", "pending", "pending", "pending", "error"]);
  });

  it("is refused where there is nothing that may wait, and where it is more than there are places", () => {
    const idle = (blocking: RigPlugin["blocking"]) =>
      createRig([{ name: "idle", library: compiler.compile("puppet"), ...(blocking === undefined ? {} : { blocking }) }]);
    expect(() => idle({ maxConcurrent: 2, deadlineMs: 100 })).toThrow(/its entry has max_concurrent and deadline, and it is not blocking/);
    const many = { config: { folder }, library: compiler.compile("waiter"), blocking: { maxConcurrent: 200 } };
    expect(() =>
      createRig([
        { name: "one", ...many },
        { name: "two", ...many },
      ]),
    ).toThrow(/more than 255 calls at a time/);
  });
});

describe("statements of a plugin that may wait", () => {
  it("are learned before the first call, and forgotten when the last call that names them has returned", async () => {
    const rig = rigOf();
    hold("a");
    const { decided } = ask(rig, "hold:a");
    const statement = rig.statement("hold:a");
    expect(logged()).toEqual([`learned ${statement.id}`]);
    rig.chain.forget(statement);
    expect(logged()).toEqual([`learned ${statement.id}`]);
    const other = rig.statement("other");
    await ask(rig, "other").decided;
    rig.chain.forget(other);
    expect(logged().at(-1)).toBe(`forgot ${other.id}`);
    release("a");
    await decided;
    // Asked again, it had to be learned again: not before the old one is gone.
    expect(logged()).toContain(`forgot ${statement.id}`);
  });
});

describe("answers that do not fit", () => {
  it("are fetched by their cookie, also when nobody waits for them any more", async () => {
    const rig = rigOf({ blocking: { deadlineMs: 100 } });
    const { error } = await ask(rig, "space").decided;
    expect(error?.message).toBe(`answer ${rig.statement("space").id}, 1 were kept`);
    hold("a");
    const late = ask(rig, "hold:a space");
    rig.clock.advance(100);
    await late.decided;
    release("a");
    await until(() => rig.chain.running === 0);
    expect(logged().at(-1)).toBe(`answer ${rig.statement("hold:a space").id}, 1 were kept`);
  });
});

describe("hooks that wait", () => {
  const connect = (rig: Rig, applicationName: string, heard: (verdict: ClientVerdict) => void) =>
    rig.chain.hooks?.clientConnect(
      {
        session: createSession(),
        askedUser: "alice",
        askedDatabase: "app",
        peerName: null,
        parameters: new Map([["application_name", applicationName]]),
      },
      heard,
    );

  it("client_connect answers later, and who came meanwhile does not wait for it", async () => {
    const rig = rigOf();
    hold("a");
    const verdicts: string[] = [];
    const told = (name: string) => (verdict: ClientVerdict) =>
      verdicts.push(`${name} ${verdict.refusal?.message ?? verdict.session.database}`);
    expect(connect(rig, "hold:a forbidden", told("first"))).not.toBeNull();
    expect(connect(rig, "rewrite", told("second"))).not.toBeNull();
    await until(() => verdicts.length === 1);
    release("a");
    await until(() => verdicts.length === 2);
    expect(verdicts).toEqual(["second other", "first the waiter lets nobody in"]);
  });

  it("client_connect: deadline and overload refuse the client, whatever on_error says", async () => {
    const rig = rigOf({ blocking: { maxConcurrent: 1, deadlineMs: 100 }, onError: "skip" });
    hold("a");
    const codes: (string | undefined)[] = [];
    const told = (verdict: ClientVerdict) => codes.push(verdict.refusal?.code);
    connect(rig, "hold:a", told);
    expect(connect(rig, "next", told)).toBeNull();
    rig.clock.advance(100);
    expect(codes).toEqual(["PLUGIN_BUSY", "PLUGIN_TIMEOUT"]);
    expect(rig.chain.stats()[0]?.hookCalls.client_connect).toMatchObject({ calls: 1, errors: 1 });
  });

  it("client_connect alone keeps no statement waiting, and the event loop looks for its answers all the same", async () => {
    const rig = rigOf({}, { HOOKS: "POOLER_HOOK_CLIENT_CONNECT", CAPABILITIES: "0" });
    expect([rig.chain.waits, rig.chain.usesThreads, rig.chain.running]).toEqual([false, true, 0]);
    hold("a");
    const verdict = new Promise<ClientVerdict>((resolve) => connect(rig, "hold:a", resolve));
    expect(rig.chain.running).toBe(1);
    release("a");
    expect((await verdict).refusal).toBeNull();
    expect(rig.chain.running).toBe(0);
  });
});
