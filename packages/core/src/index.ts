// The public API of the pooler as a library.
export { type Clock, createClock, createFakeClock, type FakeClock, type Timer } from "./base/clock.js";
export { type ErrorCode, type ErrorDetails, type ErrorKind, errorKinds, PoolerError } from "./base/errors.js";
export {
  createLogger,
  createSilentLogger,
  hideInText,
  type LogFields,
  type LogFormat,
  type Logger,
  type LoggerOptions,
  type LogLevel,
} from "./base/logger.js";
export { consoleDatabase, describeHost, hostsOf } from "./config/build-databases.js";
export type { ResolvePlugin } from "./config/build-plugins.js";
export { changedKeys, needsRestart, planReload, type ReloadPlan } from "./config/changes.js";
export { type ConfigRow, configRows } from "./config/config-rows.js";
export { createConfig, type LoadOptions, loadConfig, minimalConfig, parseConfig } from "./config/load-config.js";
export type { ConfigProblem } from "./config/problems.js";
export { configJsonSchema } from "./config/reference.js";
export type * from "./config/types.js";
export { createPooler, type Pooler, type PoolerOptions } from "./create-pooler.js";
export type { PluginDescription } from "./plugins/chain-plugin.js";
export { inspectPlugin } from "./plugins/loader.js";
export { type ResolvedPlugin, type ResolveOptions, resolvePlugin } from "./plugins/loader-resolve-plugin.js";
export { runSupervisor } from "./supervisor/run-supervisor.js";
export type { Reloaded, SupervisorOptions } from "./supervisor/supervisor.js";
export { tryPlugin } from "./try-plugin.js";
