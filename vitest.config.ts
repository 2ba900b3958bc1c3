// The whole suite from the repository root; each package also runs alone from its own folder.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: ["packages/*/vitest.config.ts", "tools/*/vitest.config.ts", "tests/vitest.config.ts"],
    maxWorkers: 2,
  },
});
