// What tools for authors of plugins need beside the pooler itself: to find, open and describe libraries, to lay out and read
// frames as the host does. Not for running a pooler.
export { native } from "./base/native.js";
export { type BenchQuestion, createPluginBench, type PluginBench } from "./plugin-bench.js";
export { blockingDefaults, type LoadedPlugin, type PluginDescription } from "./plugins/chain-plugin.js";
export { readInterception, readRefusal, readRewrite } from "./plugins/chain-verdicts.js";
export { largestOutputBytes, OutputFrame } from "./plugins/frames-output.js";
export { inspectPlugin } from "./plugins/loader.js";
export { type BinaryTarget, readBinaryTarget, targetOf, whyUnloadable } from "./plugins/loader-binary.js";
export { checkPluginInfo, describePlugin, type PluginInfo, type PluginOrigin, readPluginInfo } from "./plugins/loader-handshake.js";
export { currentPlatform, type ResolvedPlugin, resolvePlugin } from "./plugins/loader-resolve-plugin.js";
export { isScript } from "./plugins/loader-scripts.js";
export { importScript, loadScript } from "./plugins/script-module.js";
export type { ChainDecision } from "./plugins/types.js";
export { createStatementParser } from "./sql/parser.js";
export type { StatementFacts, StatementParser } from "./sql/types.js";
