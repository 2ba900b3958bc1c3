// What a plugin costs: ns per PluginChain.ask() with plugins that do nothing. Run after `pnpm build`, with a C compiler:
//   node packages/core/bench/chain.mjs [rounds]
// Bytes per ask stay near zero: skip and forward must not allocate.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { includeDir } from "@pooler/plugin-abi";
import { createClock } from "../dist/base/clock.js";
import { createSilentLogger } from "../dist/base/logger.js";
import { createPluginChain } from "../dist/plugins/chain.js";
import { createChainDecision, createChainRequest } from "../dist/plugins/chain-calls.js";
import { openCrashPage } from "../dist/plugins/crash-page.js";
import { loadPlugins } from "../dist/plugins/loader.js";

const rounds = Number(process.argv[2] ?? 1_000_000);

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
  (void)state, (void)in_len, (void)out_cap;
  return in->protocol == POOLER_PROTOCOL_SIMPLE ? POOLER_SKIP : pooler_forward(out, POOLER_ROLE_OPEN, 0);
}
`;

const folder = mkdtempSync(join(tmpdir(), "pooler-bench-"));
const library = join(folder, "empty.so");
execFileSync("cc", ["-O2", "-shared", "-fPIC", "-I", includeDir, "-x", "c", "-", "-o", library], { input: source });

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

const cluster = {
  name: "app",
  shards: 2,
  generation: 1,
  hosts: [0, 1].map((shard) => ({ shard, role: "primary", address: "127.0.0.1:5432", up: true, lagMs: null })),
};
const session = (id) => ({
  id,
  user: "alice",
  database: "app",
  applicationName: "bench",
  clientAddress: "127.0.0.1",
  clientEncoding: "UTF8",
  tls: false,
  generation: 1,
  encoded: null,
});
const statement = (id) => ({
  id,
  sql: Buffer.from(`SELECT abalance FROM pgbench_accounts WHERE aid = $1 -- ${id}`),
  facts: null,
  encoded: null,
  learnedBy: 0,
});
const sessions = Array.from({ length: 16 }, (_, id) => session(id + 1));
const statements = Array.from({ length: 64 }, (_, id) => statement(id + 1));
const parameters = {
  count: 1,
  buffer: Buffer.from("xxxx12345678"),
  offsets: Int32Array.of(4),
  lengths: Int32Array.of(8),
  formats: Int32Array.of(0),
  typeOids: [20],
};

function bench(title, plugins, prepare) {
  const crashPage = openCrashPage(null);
  const entries = Array.from({ length: plugins }, (_, i) => ({
    name: `p${i}`,
    library,
    source: "path",
    packageVersion: null,
    config: {},
    onError: "fail",
  }));
  const loaded = loadPlugins(entries, { grammar: 18, worker: 0, crashPage });
  const chain = createPluginChain({ plugins: loaded, statements: null, crashPage, clock: createClock(), log: createSilentLogger() });
  const decision = createChainDecision();
  const request = createChainRequest({ statement: statements[0], session: sessions[0], cluster });
  let best = Number.POSITIVE_INFINITY;
  let bytes = 0;
  for (let run = 0; run < 5; run++) {
    collect();
    const before = process.memoryUsage().heapUsed;
    const start = performance.now();
    for (let i = 0; i < rounds; i++) {
      prepare(request, i);
      chain.ask(request, decision);
    }
    best = Math.min(best, ((performance.now() - start) * 1e6) / rounds);
    bytes = (process.memoryUsage().heapUsed - before) / rounds;
  }
  for (const plugin of loaded) plugin.destroy();
  console.log(`${title.padEnd(64)} ${best.toFixed(0).padStart(6)} ns/ask  ${bytes.toFixed(1).padStart(6)} heap bytes/ask`);
}

console.log(`node ${process.version}, ${rounds} rounds, best of 5`);
bench("no plugin", 0, () => {});
bench("1 plugin, same session and statement", 1, () => {});
bench("1 plugin, 16 sessions, 64 statements", 1, (request, i) => {
  request.session = sessions[i & 15];
  request.statement = statements[i & 63];
});
bench("1 plugin, 16 sessions, 64 statements, a parameter, forward", 1, (request, i) => {
  request.session = sessions[i & 15];
  request.statement = statements[i & 63];
  request.parameters = parameters;
  request.extended = true;
});
bench("3 plugins, 16 sessions, 64 statements, a parameter, forward", 3, (request, i) => {
  request.session = sessions[i & 15];
  request.statement = statements[i & 63];
  request.parameters = parameters;
  request.extended = true;
});
rmSync(folder, { recursive: true });
