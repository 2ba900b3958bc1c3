// vector-routing before shards with the real pgvector: what the plugin calls nearest is what pgvector's operators call nearest, and what it
// takes for a vector is what pgvector takes for one.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn, rowsOf } from "../../harness/backend-message.js";
import type { WireClient } from "../../harness/wire-client.js";
import { batch, type Rig, run, startRig } from "../../plugins/rig.js";
import { example } from "../example-plugins.js";
import { startVectorServers, type VectorServer } from "./vector-server.js";

let servers: readonly VectorServer[];

beforeAll(async () => {
  servers = await startVectorServers(2);
  for (const [shard, server] of servers.entries())
    await server.exec(
      `CREATE TABLE here (shard int); INSERT INTO here VALUES (${shard}); CREATE TABLE items (id serial, embedding vector(3))`,
    );
}, 300_000);
afterAll(() => Promise.all(servers.map((server) => server.stop())));

const centroids = [
  { shard: 0, vector: [1, 0, 0] },
  { shard: 1, vector: [0, 10, 0.5] },
  { shard: 0, vector: [-3, -3, 2] },
  { shard: 1, vector: [0.1, 0.1, -7] },
];
const operators = { l2: "<->", cosine: "<=>" } as const;

/** Numbers of all sizes, the same in every run. */
function vectors(count: number): readonly (readonly number[])[] {
  let state = 12_345;
  const next = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return state / 0x4000_0000 - 1;
  };
  return Array.from({ length: count }, () => {
    const size = 10 ** (3 * next());
    return [next() * size, next() * size, next() * size];
  });
}

const text = (vector: readonly number[]): string => JSON.stringify(vector);

describe.each(["l2", "cosine"] as const)("by %s", (distance) => {
  const operator = operators[distance];
  const searches = `SELECT shard, embedding FROM here LEFT JOIN items ON true ORDER BY embedding ${operator} $1 LIMIT 1`;
  let rig: Rig;

  beforeAll(async () => {
    for (const server of servers) await server.exec("TRUNCATE items RESTART IDENTITY");
    rig = await startRig({
      plugins: [example("vector-routing", { table: "items", column: "embedding", distance, centroids })],
      app: {
        pool_size: 1,
        shards: servers.map((server) => ({ primary: `postgres://postgres@127.0.0.1:${server.port}/postgres` })),
      },
    });
  });
  afterEach(() => rig.disconnectAll());
  afterAll(() => rig.stop());

  /** What pgvector itself calls nearest. */
  async function nearest(vector: string): Promise<string> {
    const values = centroids.map(({ shard, vector: place }) => `(${shard}, '${text(place)}'::vector)`).join();
    const sql = `SELECT shard FROM (VALUES ${values}) AS c (shard, place) ORDER BY place ${operator} $1::vector LIMIT 1`;
    return String((await (servers[0] as VectorServer).row<{ shard: number }>(sql, [vector])).shard);
  }
  /** vector_send of the server. */
  async function binary(vector: string): Promise<Buffer> {
    const { bytes } = await (servers[0] as VectorServer).row<{ bytes: Uint8Array }>("SELECT vector_send($1::vector) AS bytes", [vector]);
    return Buffer.from(bytes);
  }
  const shardOf = (answer: Awaited<ReturnType<WireClient["query"]>>): unknown => errorIn(answer)?.["M"] ?? rowsOf(answer)[0]?.[0];

  test("searches go where pgvector says: text, binary, literal", async () => {
    const client = await rig.client();
    const seen = new Set<string>();
    for (const vector of vectors(40).map(text)) {
      const shard = await nearest(vector);
      seen.add(shard);
      const own = await binary(vector);
      expect([vector, shardOf(await batch(client, run(searches, { values: [vector] })))]).toEqual([vector, shard]);
      expect([vector, shardOf(await batch(client, run(searches, { values: [own] })))]).toEqual([vector, shard]);
      expect([vector, shardOf(await client.query(searches.replace("$1", `'${vector}'::vector`)))]).toEqual([vector, shard]);
    }
    expect([...seen].sort()).toEqual(["0", "1"]);
  });

  test("what is inserted is found by a search, on the shard where pgvector puts it", async () => {
    const client = await rig.client();
    const all = vectors(40).map(text);
    for (const [index, vector] of all.entries()) {
      const value = index % 2 === 0 ? vector : await binary(vector);
      expect(errorIn(await batch(client, run("INSERT INTO items (embedding) VALUES ($1)", { values: [value] })))).toBeUndefined();
    }
    for (const vector of all) {
      const [found] = rowsOf(await batch(client, run(searches, { values: [vector] })));
      expect(found?.[0]).toBe(await nearest(vector));
      const exact = await (servers[Number(found?.[0])] as VectorServer).row<{ same: boolean }>("SELECT $1::vector = $2::vector AS same", [
        found?.[1],
        vector,
      ]);
      expect(exact.same || distance === "cosine").toBe(true);
    }
    const counts = await Promise.all(servers.map((server) => server.row<{ count: number }>("SELECT count(*)::int FROM items")));
    expect(counts.reduce((sum, { count }) => sum + count, 0)).toBe(all.length);
  });

  test("vectors of different shards in one insert, and an update, are refused", async () => {
    const client = await rig.client();
    const both = "INSERT INTO items (embedding) VALUES ('[1,0,0]'), ('[0,10,0.5]')";
    expect(errorIn(await client.query(both))).toMatchObject({ C: "0A000", H: "Insert them one by one." });
    expect(errorIn(await client.query("UPDATE items SET embedding = '[1,0,0]'"))).toMatchObject({ C: "0A000" });
  });

  test("what is no such vector is refused by the plugin, with the reason", async () => {
    const client = await rig.client();
    const refused = async (value: string | Buffer): Promise<unknown> => errorIn(await batch(client, run(searches, { values: [value] })));
    expect(await refused("[1,2]")).toMatchObject({ C: "22000", M: "expected 3 dimensions, not 2" });
    expect(await refused("[1,x,3]")).toMatchObject({ C: "22P02" });
    expect(await refused(Buffer.from("nonsense"))).toMatchObject({ C: "22P02" });
  });

  test.each([
    "[1,2,3]",
    " [1,2,3] ",
    "[ 1 , 2\t,\n3 ]",
    "[1e0,+2,-.5]",
    "[1.,2.5e3,0]",
    "[1e-60,0,1]",
    "[3.4e38,0,0]",
    "[1e39,0,0]",
    "[NaN,0,0]",
    "[inf,0,0]",
    "[1,2]",
    "[1,2,3,4]",
    "[1,,3]",
    "[1,2,]",
    "[]",
    "[1 2,3,4]",
    "1,2,3",
    "[1,2,3",
    "[1,2,3]x",
    "(1,2,3)",
    "",
  ])("a vector for pgvector is a vector for the plugin, and the other way round: %j", async (vector) => {
    const client = await rig.client();
    const valid = await (servers[0] as VectorServer).row("SELECT $1::vector(3)", [vector]).then(
      () => true,
      () => false,
    );
    const answer = await batch(client, run(searches, { values: [vector] }));
    expect(errorIn(answer)?.["M"] === undefined).toBe(valid);
    if (valid) expect(shardOf(answer)).toBe(await nearest(vector));
  });
});
