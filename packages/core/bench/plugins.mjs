// What plugins cost, all in one run: a call of an empty native plugin and of an empty JavaScript one, the chain read-write-split + hash-sharding on
// the statements of pgbench -S, loading, and the heap. After `pnpm build` and `node scripts/build-plugins.mjs`, with a C compiler:
//   node packages/core/bench/plugins.mjs [--rounds 200000] [--turns 7] [--json]
// A limit is for what is above the chain without plugins. Cases take turns, so that what else the machine does meets them all alike; the best turn of each counts.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import v8 from "node:v8";
import { runInNewContext } from "node:vm";
import { includeDir } from "@pooler/plugin-abi";
import { createClock } from "../dist/base/clock.js";
import { createSilentLogger } from "../dist/base/logger.js";
import { createPluginChain } from "../dist/plugins/chain.js";
import { createChainDecision, createChainRequest } from "../dist/plugins/chain-calls.js";
import { openCrashPage } from "../dist/plugins/crash-page.js";
import { loadPlugins } from "../dist/plugins/loader.js";
import { currentPlatform } from "../dist/plugins/loader-resolve-plugin.js";
import { importScripts } from "../dist/plugins/loader-scripts.js";
import { createLexed, lex } from "../dist/sql/lexer.js";
import { createStatementParser } from "../dist/sql/parser.js";
import { createStatementCache } from "../dist/sql/statement-cache.js";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "200000" },
    turns: { type: "string", default: "7" },
    json: { type: "boolean", default: false },
  },
});
const rounds = Number(options.rounds);
const turns = Number(options.turns);
v8.setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");
const require = createRequire(import.meta.url);
const folder = mkdtempSync(join(tmpdir(), "pooler-bench-"));

function emptyNative() {
  const source = `
#include "pooler_plugin.h"
const pooler_plugin_info *pooler_plugin_info_v1(void) {
  static const pooler_plugin_info info = {sizeof(pooler_plugin_info), 1, 0, 0, POOLER_HOOK_ROUTE_QUERY, 0, 0, 0, "empty", "1", "c"};
  return &info;
}
pooler_status pooler_create(const pooler_create_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap, void **state) {
  (void)in, (void)in_len, (void)out, (void)out_cap, (void)state;
  return POOLER_OK;
}
void pooler_destroy(void *state) { (void)state; }
pooler_status pooler_route_query(void *state, const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap) {
  (void)state, (void)in, (void)in_len, (void)out, (void)out_cap;
  return POOLER_SKIP;
}
`;
  const library = join(folder, "empty.so");
  execFileSync("cc", ["-O2", "-shared", "-fPIC", "-I", includeDir, "-x", "c", "-", "-o", library], { input: source });
  return library;
}

function script(name, route) {
  const library = join(folder, `${name}.mjs`);
  const sdk = JSON.stringify(pathToFileURL(require.resolve("@pooler/plugin-abi/js")).href);
  writeFileSync(library, `import { definePlugin, forward } from ${sdk};\nexport default definePlugin({ ${route} });\n`);
  return library;
}

const referencePlugin = (name) =>
  require.resolve(`../../plugin-${name}/prebuilds/${currentPlatform()}/plugin.${process.platform === "darwin" ? "dylib" : "so"}`);
const entry = (library, config = {}) => ({ name: library, library, source: "path", packageVersion: null, config, onError: "fail" });
const tables = [{ table: "pgbench_accounts", column: "aid", type: "integer" }];
const entries = {
  empty: entry(emptyNative()),
  emptyScript: entry(script("empty", "route() {}")),
  shardingScript: entry(script("sharding", "route({ parameters }) { return forward({ shard: Number(parameters[0].text) % 2 }); }")),
  "read-write-split": entry(referencePlugin("read-write-split")),
  "hash-sharding": entry(referencePlugin("hash-sharding"), { tables }),
  validator: entry(referencePlugin("validator"), { rules: [{ type: "deny_statements", statements: ["execute"] }] }),
};

const crashPage = openCrashPage(null);
const loadScript = await importScripts(Object.values(entries), crashPage);
/** Milliseconds from nothing to created: file, dynamic linker, handshake, exports, pooler_create(). The first one starts koffi, too. */
const loads = {};
const created = [];
const create = (configs) => {
  const loaded = loadPlugins(configs, { grammar: 18, worker: 0, crashPage, loadScript });
  created.push(...loaded);
  return loaded;
};
for (const [name, config] of Object.entries(entries)) {
  const begun = performance.now();
  create([config]);
  loads[name] = performance.now() - begun;
}
const parser = await createStatementParser();

const cluster = {
  name: "app",
  shards: 2,
  generation: 1,
  hosts: [0, 1].map((shard) => ({ shard, role: "primary", address: "127.0.0.1:5432", up: true, lagMs: null })),
};
const sessions = Array.from({ length: 16 }, (_, id) => ({
  id: id + 1,
  user: "alice",
  database: "app",
  applicationName: "bench",
  clientAddress: "127.0.0.1",
  clientEncoding: "UTF8",
  tls: false,
  generation: 1,
  encoded: null,
}));
const parameters = {
  count: 1,
  buffer: Buffer.from("xxxx12345"),
  offsets: Int32Array.of(4),
  lengths: Int32Array.of(5),
  formats: Int32Array.of(0),
  typeOids: [],
};
const prepared = Buffer.from("SELECT abalance FROM pgbench_accounts WHERE aid = $1");
const simple = Array.from({ length: 4096 }, (_, i) =>
  Buffer.from(`SELECT abalance FROM pgbench_accounts WHERE aid = ${100_000 + i * 17};`),
);
const lexed = createLexed();

/** A chain with plugins, a request and a cache of its own; `ask` is one statement. */
function createCase(names, makeAsk, { limitUs = null, every = 1, cache = {} } = {}) {
  let chain = null;
  const statements = createStatementCache({
    maxTexts: 10_000,
    maxBytes: 64 << 20,
    parser,
    liftsLiterals: true,
    ...cache,
    onForget: (statement) => chain?.forget(statement),
  });
  chain = createPluginChain({
    plugins: create(names.map((name) => entries[name])),
    statements,
    crashPage,
    clock: createClock(),
    log: createSilentLogger(),
  });
  const request = createChainRequest({ session: sessions[0], cluster });
  const decision = createChainDecision();
  return { decision, ask: makeAsk(chain, statements, request, decision), limitUs, rounds: rounds / every };
}

const askPrepared = (chain, statements, request, decision) => {
  request.statement = statements.statementsOf(prepared, 0, prepared.length, "UTF8", true).statements[0];
  request.parameters = parameters;
  request.extended = true;
  return (i) => {
    request.session = sessions[i & 15];
    chain.ask(request, decision);
  };
};
/** As a session does it: a scan finds the literals, the rest of the text is looked up. */
const askSimple = (chain, statements, request, decision) => (i) => {
  const text = simple[i & 4095];
  lex(text, 0, text.length, true, lexed);
  const lifted = statements.lift(text, lexed.starts[0], lexed.ends[0], "UTF8");
  request.session = sessions[i & 15];
  request.statement = lifted.statement;
  request.parameters = lifted.literals;
  request.lifted = lifted;
  chain.ask(request, decision);
};

/** As before literals were lifted, and still for plugins that do not take them: the grammar and every plugin look at each text. */
const askUnlifted = (chain, statements, request, decision) => (i) => {
  const text = simple[i & 4095];
  request.statement = statements.statementsOf(text, 0, text.length, "UTF8", true).statements[0];
  chain.ask(request, decision);
};

const chainOfTwo = ["read-write-split", "hash-sharding"];
const cases = {
  "no plugin": createCase([], askPrepared),
  "empty native plugin": createCase(["empty"], askPrepared, { limitUs: 0.5 }),
  "three of them": createCase(["empty", "empty", "empty"], askPrepared),
  "empty JavaScript plugin": createCase(["emptyScript"], askPrepared),
  "JavaScript plugin that reads a parameter and forwards": createCase(["shardingScript"], askPrepared),
  "read-write-split + hash-sharding, prepared": createCase(chainOfTwo, askPrepared, { limitUs: 3 }),
  "read-write-split + hash-sharding, simple, literals differ": createCase(chainOfTwo, askSimple, { limitUs: 12 }),
  "... each text looked at by itself": createCase(chainOfTwo, askUnlifted, { every: 20, cache: { maxTexts: 16, liftsLiterals: false } }),
};

/** Bytes allocated while `run` runs: growth between collections, summed up. */
function allocatedIn(run) {
  const profiler = new v8.GCProfiler();
  let since = v8.getHeapStatistics().used_heap_size;
  profiler.start();
  run();
  const atEnd = v8.getHeapStatistics().used_heap_size;
  let bytes = 0;
  for (const { beforeGC, afterGC } of profiler.stop().statistics) {
    bytes += beforeGC.heapStatistics.usedHeapSize - since;
    since = afterGC.heapStatistics.usedHeapSize;
  }
  return bytes + atEnd - since;
}

const heapBytes = () => {
  collect();
  return v8.getHeapStatistics().used_heap_size;
};

const measured = Object.fromEntries(Object.keys(cases).map((name) => [name, { us: Number.POSITIVE_INFINITY }]));
for (let turn = 0; turn < turns; turn++) {
  for (const [name, { ask, rounds: count }] of Object.entries(cases)) {
    const begun = performance.now();
    for (let i = 0; i < count; i++) ask(i);
    measured[name].us = Math.min(measured[name].us, ((performance.now() - begun) * 1_000) / count);
  }
}
for (const [name, { ask, decision, limitUs, rounds: count }] of Object.entries(cases)) {
  const run = () => {
    for (let i = 0; i < count; i++) ask(i);
  };
  const before = heapBytes();
  const allocatedBytes = allocatedIn(run) / count;
  // What is still there: of all rounds together, not of each.
  Object.assign(measured[name], { allocatedBytes, keptBytes: heapBytes() - before, limitUs });
  if (decision.error !== null || (name.includes("+") && decision.shard > 1)) throw new Error(`${name}: ${JSON.stringify(decision)}`);
}
for (const plugin of created) plugin.destroy();
rmSync(folder, { recursive: true });

if (options.json) console.log(JSON.stringify({ rounds, loads, cases: measured }));
else {
  const none = measured["no plugin"].us;
  console.log(`node ${process.version}, ${rounds} rounds, best of ${turns}`);
  console.log(`${"".padEnd(58)}  µs/ask  × none     at most  bytes/ask  kept of all`);
  for (const [name, { us, limitUs, allocatedBytes, keptBytes }] of Object.entries(measured)) {
    const limit = limitUs === null ? "" : `${us - none < limitUs ? "" : "MISSED "}${limitUs}`;
    const columns = [us.toFixed(2).padStart(8), (us / none).toFixed(1).padStart(8), limit.padStart(12)];
    console.log(`${name.padEnd(58)}${columns.join("")}${allocatedBytes.toFixed(1).padStart(11)}${String(keptBytes).padStart(14)}`);
  }
  console.log("\nload, handshake and creation in ms, at most 20: ");
  for (const [name, ms] of Object.entries(loads))
    console.log(`  ${name.padEnd(20)}${ms.toFixed(2).padStart(7)}${ms < 20 ? "" : " MISSED"}`);
}
