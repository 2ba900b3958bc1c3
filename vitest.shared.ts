// What every package's test run has in common: workspace packages are read from source, and nothing is retried.
import type { ViteUserConfig } from "vitest/config";

const conditions = ["@pooler/source", "module", "node", "development|production"];

export function testConfig(name: string): ViteUserConfig {
  return {
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: {
      name,
      include: ["src/**/*.test.ts"],
      environment: "node",
      pool: "forks",
      retry: 0,
      testTimeout: 20_000,
      hookTimeout: 60_000,
      restoreMocks: true,
    },
  };
}
