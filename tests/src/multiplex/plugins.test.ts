// Statements that plugins rewrite, observe or see the rows of have their server for themselves; the others of the same clients share.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { rowsOf } from "../harness/backend-message.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { messages, type WireClient } from "../harness/wire-client.js";
import { again, batch, prepare, type Rig, run, startRig } from "../plugins/rig.js";

const { bind, describe: describeMessage, execute } = messages;
const js = fileURLToPath(new URL("../../../packages/plugin-abi/dist/js/index.js", import.meta.url));

let rig: Rig;
let client: WireClient;

/** A pooler with a plugin that has these members. */
function withPlugin(members: string): void {
  const source = `
import { definePlugin, intercept, rewrite } from ${JSON.stringify(js)};
let ends = 0;
export default definePlugin({ name: "one", version: "1.0.0", capabilities: ["every_statement"], create: () => ({}), ${members} });
`;
  beforeEach(async () => {
    rig = await startRig({
      plugins: [{ package: "./one.mjs" }],
      databases: { app: { url: sharedShards()[0]?.primary, pool_size: 1, multiplex: 4 } },
      prepare: (folder) => writeFileSync(join(folder, "one.mjs"), source),
    });
    client = await rig.client();
  });
  afterEach(async () => {
    await rig.disconnectAll();
    await rig.stop();
  });
}

const ridesOf = async (): Promise<number> => {
  const row = (await rig.console("SHOW MULTIPLEX")).find(({ database }) => database === "app");
  return Number(row?.["rides"]);
};

/** The only value that comes of it, and how many statements shared a server, or could have. */
async function asked(work: () => ReturnType<WireClient["query"]>): Promise<[value: string | null | undefined, rides: number]> {
  const before = await ridesOf();
  const answer = await work();
  return [rowsOf(answer)[0]?.[0], (await ridesOf()) - before];
}

describe("a plugin that rewrites", () => {
  withPlugin(`
    route({ statement, parameters }) {
      if (statement.sql === "SELECT 'as sent'") return rewrite("SELECT 'rewritten'");
      if (statement.sql === "SELECT $1::text") return rewrite(statement.sql, ["replaced"]);
      return undefined;
    }`);

  test("has a server for its text and its parameters; what it leaves as it is shares", async () => {
    expect(await asked(() => client.query("SELECT 'as sent'"))).toEqual(["rewritten", 0]);
    expect(await asked(() => batch(client, run("SELECT 'as sent'")))).toEqual(["rewritten", 0]);
    expect(await asked(() => batch(client, run("SELECT $1::text", { values: ["sent"] })))).toEqual(["replaced", 0]);
    await prepare(client, "text", "SELECT 'as sent'");
    expect(await asked(() => batch(client, again({ name: "text" })))).toEqual(["rewritten", 0]);
    await prepare(client, "parameter", "SELECT $1::text");
    expect(await asked(() => batch(client, again({ name: "parameter", values: ["sent"] })))).toEqual(["replaced", 0]);

    await prepare(client, "left", "SELECT 'left'");
    expect(await asked(() => client.query("SELECT 'left'"))).toEqual(["left", 1]);
    expect(await asked(() => batch(client, run("SELECT 'left'")))).toEqual(["left", 1]);
    expect(await asked(() => batch(client, again({ name: "left" })))).toEqual(["left", 1]);
    // What the client is told of a statement has to be known when a plugin rewrites it later.
    expect(await asked(() => batch(client, again({ name: "left", describe: "portal" })))).toEqual(["left", 1]);
    const described = [bind({ statement: "left" }), describeMessage({ type: "S", name: "left" }), execute()];
    expect(await asked(() => batch(client, ...described))).toEqual(["left", 0]);
  });
});

describe("a plugin that sees rows", () => {
  withPlugin(`
    route: ({ statement }) => (statement.sql.includes("secret") ? { verdict: "skip", showRows: true } : undefined),
    resultRow: () => ["***"]`);

  test("has a server for those that it asks for", async () => {
    expect(await asked(() => client.query("SELECT 'secret'"))).toEqual(["***", 0]);
    expect(await asked(() => batch(client, run("SELECT 'secret'")))).toEqual(["***", 0]);
    await prepare(client, "secret", "SELECT 'secret'");
    expect(await asked(() => batch(client, again({ name: "secret" })))).toEqual(["***", 0]);
    expect(await asked(() => client.query("SELECT 'open'"))).toEqual(["open", 1]);
    expect(await asked(() => batch(client, run("SELECT 'open'")))).toEqual(["open", 1]);
  });
});

describe("a plugin that observes", () => {
  withPlugin(`
    queryEnd: () => { ends += 1; },
    route: ({ statement }) => (statement.sql === "SHOW ends" ? intercept({ columns: ["n"], rows: [[ends]], commandTag: "SHOW" }) : undefined)`);

  test("hears of every statement, and none shares a server", async () => {
    expect(await asked(() => client.query("SELECT 'one'"))).toEqual(["one", 0]);
    expect(await asked(() => batch(client, run("SELECT 'two'")))).toEqual(["two", 0]);
    expect(rowsOf(await client.query("SHOW ends"))).toEqual([["2"]]);
  });
});
