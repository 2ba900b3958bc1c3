// The cluster that all integration tests share: two shards with a replica each. Started once by global-setup.ts; tests make their own
// tables (or databases) in it. A test that stops or kills servers starts a cluster of its own instead.
import { inject } from "vitest";

export interface SharedShard {
  /** URL of the database "app" as superuser, past the pooler. */
  readonly primary: string;
  readonly replicas: readonly string[];
}

declare module "vitest" {
  interface ProvidedContext {
    shards: readonly SharedShard[];
  }
}

export function sharedShards(): readonly SharedShard[] {
  return inject("shards");
}
