// The pooler for those who embed it: started by a call, stopped by another, no signals. `pooler start` is runSupervisor().
import { loadConfig } from "./config/load-config.js";
import type { PoolerConfig } from "./config/types.js";
import { type Supervisor, type SupervisorOptions, startSupervisor } from "./supervisor/supervisor.js";

export type Pooler = Supervisor;

export interface PoolerOptions extends Omit<SupervisorOptions, "config" | "reload"> {
  /** From loadConfig(), parseConfig() or createConfig(). */
  readonly config: PoolerConfig;
  /** Where a reload gets the configuration; by default from the file that `config` was read from. */
  readonly reload?: () => PoolerConfig;
}

/** Resolves when clients can connect; rejects with a PoolerError, then nothing is left running. */
export function createPooler(options: PoolerOptions): Promise<Pooler> {
  const { config } = options;
  const again = (): PoolerConfig => (config.file === null ? config : loadConfig(config.file));
  return startSupervisor({ ...options, reload: options.reload ?? again });
}
