// What the chain read-write-split + hash-sharding costs a statement: µs per ask, for a prepared point SELECT and for simple queries
// whose literals all differ. Run after `pnpm build` and `node scripts/build-plugins.mjs`:
//   node packages/core/bench/reference-chain.mjs [rounds]
import { createRequire } from "node:module";
import { createClock } from "../dist/base/clock.js";
import { createSilentLogger } from "../dist/base/logger.js";
import { createPluginChain } from "../dist/plugins/chain.js";
import { createChainDecision, createChainRequest } from "../dist/plugins/chain-calls.js";
import { openCrashPage } from "../dist/plugins/crash-page.js";
import { loadPlugins } from "../dist/plugins/loader.js";
import { createLexed, lex } from "../dist/sql/lexer.js";
import { createStatementParser } from "../dist/sql/parser.js";
import { createStatementCache } from "../dist/sql/statement-cache.js";

const rounds = Number(process.argv[2] ?? 300_000);
const require = createRequire(import.meta.url);
const libraryOf = (name) =>
  require.resolve(
    `../../plugin-${name}/prebuilds/${process.platform}-${process.arch}/plugin.${process.platform === "darwin" ? "dylib" : "so"}`,
  );
const tables = [{ table: "pgbench_accounts", column: "aid", type: "integer" }];

const crashPage = openCrashPage(null);
const started = performance.now();
const plugins = loadPlugins(
  [
    { name: "rws", library: libraryOf("read-write-split"), source: "path", packageVersion: null, config: {}, onError: "fail" },
    { name: "sharding", library: libraryOf("hash-sharding"), source: "path", packageVersion: null, config: { tables }, onError: "fail" },
  ],
  { grammar: 18, worker: 0, crashPage },
);
const loadMs = performance.now() - started;
const parser = await createStatementParser();

const cluster = {
  name: "app",
  shards: 2,
  generation: 1,
  hosts: [0, 1].map((shard) => ({ shard, role: "primary", address: "127.0.0.1:5432", up: true, lagMs: null })),
};
const session = {
  id: 1,
  user: "alice",
  database: "app",
  applicationName: "bench",
  clientAddress: "127.0.0.1",
  clientEncoding: "UTF8",
  tls: false,
  generation: 1,
  encoded: null,
};
const request = createChainRequest({ session, cluster });
const decision = createChainDecision();
const texts = Array.from({ length: 4096 }, (_, i) => Buffer.from(`SELECT abalance FROM pgbench_accounts WHERE aid = ${i * 24};`));
const lexed = createLexed();

function bench(title, liftsLiterals, maxTexts, run) {
  let chain = null;
  const statements = createStatementCache({
    maxTexts,
    maxBytes: 64 << 20,
    parser,
    liftsLiterals,
    onForget: (statement) => chain?.forget(statement),
  });
  chain = createPluginChain({ plugins, statements, crashPage, clock: createClock(), log: createSilentLogger() });
  let best = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 5; turn++) {
    const count = maxTexts < 4096 ? rounds / 20 : rounds;
    const start = performance.now();
    for (let i = 0; i < count; i++) run(chain, statements, i);
    best = Math.min(best, ((performance.now() - start) * 1e3) / count);
  }
  if (decision.outcome !== "route" || decision.shard > 1) throw new Error(`not routed: ${JSON.stringify(decision.error)}`);
  console.log(`${title.padEnd(72)} ${best.toFixed(2).padStart(7)} µs`);
}

console.log(`node ${process.version}, ${rounds} rounds, best of 5; both plugins loaded in ${loadMs.toFixed(1)} ms`);
const prepared = Buffer.from("SELECT abalance FROM pgbench_accounts WHERE aid = $1");
const parameters = {
  count: 1,
  buffer: Buffer.from("xxxx12345"),
  offsets: Int32Array.of(4),
  lengths: Int32Array.of(5),
  formats: Int32Array.of(0),
  typeOids: [],
};
bench("prepared: the chain alone", true, 10_000, (chain, statements) => {
  request.statement = statements.statementsOf(prepared, 0, prepared.length, "UTF8", true).statements[0];
  request.parameters = parameters;
  request.lifted = null;
  request.extended = true;
  chain.ask(request, decision);
});
request.extended = false;
bench("simple, literals lifted: scan, look-up, chain", true, 10_000, (chain, statements, i) => {
  const text = texts[i & 4095];
  lex(text, 0, text.length, true, lexed);
  const lifted = statements.lift(text, lexed.starts[0], lexed.ends[0], "UTF8");
  request.statement = lifted.statement;
  request.parameters = lifted.literals;
  request.lifted = lifted;
  chain.ask(request, decision);
});
bench("simple, each text looked at by itself: grammar, learning, chain", false, 16, (chain, statements, i) => {
  const text = texts[i & 4095];
  request.statement = statements.statementsOf(text, 0, text.length, "UTF8", true).statements[0];
  request.parameters = null;
  request.lifted = null;
  chain.ask(request, decision);
});
for (const plugin of plugins) plugin.destroy();
