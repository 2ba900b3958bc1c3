import { defineConfig, mergeConfig } from "vitest/config";
import { testConfig } from "../vitest.shared.js";

export default mergeConfig(
  testConfig("integration"),
  defineConfig({ test: { globalSetup: ["src/harness/global-setup.ts"], testTimeout: 60_000 } }),
);
