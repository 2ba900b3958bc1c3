// What a worker knows of one host of one shard: is it there, since when not, when to try again. Changed by the pools that
// connect to it, read when a host is chosen.
import type { PoolerError } from "../base/errors.js";
import type { HostConfig } from "../config/types.js";

export type HostRole = "primary" | "replica";

export interface HostState {
  readonly config: HostConfig;
  readonly shard: number;
  readonly role: HostRole;
  /** "host:port" */
  readonly address: string;
  up: boolean;
  /** Wall-clock milliseconds, null while it is up. */
  downSinceMs: number | null;
  lastError: PoolerError | null;
}

export function createHostState(config: HostConfig, shard: number, role: HostRole): HostState {
  const address = config.host.includes(":") ? `[${config.host}]:${config.port}` : `${config.host}:${config.port}`;
  return { config, shard, role, address, up: true, downSinceMs: null, lastError: null };
}
