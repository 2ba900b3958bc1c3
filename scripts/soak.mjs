// pnpm soak [--minutes N] [--seed N]: builds the pooler and lets it run under mixed load and disturbances. Ends with a table of what was
// found, and with exit code 1 when anything is off. What it does is in tests/src/soak.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildTypeScript, installDependencies, run, say, toolEnvironment } from "./setup.mjs";
import { checkNode, root, SetupError } from "./toolchain.mjs";

try {
  const { values } = parseArgs({ options: { minutes: { type: "string", default: "30" }, seed: { type: "string" } } });
  if (!(Number(values.minutes) > 0)) throw new SetupError(`--minutes takes a number above 0, not "${values.minutes}".`);
  checkNode();
  await installDependencies();
  await buildTypeScript();
  const { code } = await run(join(root, "node_modules", ".bin", "vitest"), ["run", "--config", "vitest.soak.config.ts"], {
    cwd: join(root, "tests"),
    allowFailure: true,
    env: {
      ...toolEnvironment,
      POOLER_SOAK_MINUTES: values.minutes,
      ...(values.seed === undefined ? {} : { POOLER_SOAK_SEED: values.seed }),
    },
  });
  process.exitCode = code === 0 ? 0 : 1;
} catch (error) {
  if (!(error instanceof SetupError)) {
    throw error;
  }
  say(`\n${error.message}`);
  process.exitCode = 1;
}
