// pnpm soak: not part of the suite. It starts its own cluster.
import { defineConfig, mergeConfig } from "vitest/config";
import { testConfig } from "../vitest.shared.js";

const { test, ...rest } = testConfig("soak");

export default mergeConfig(
  { ...rest, test: { ...test, include: ["src/soak/*.run.ts"] } },
  defineConfig({ test: { reporters: ["dot"], disableConsoleIntercept: true } }),
);
