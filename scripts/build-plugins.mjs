// Builds the reference plugins and lays them into the packages that carry them: `node scripts/build-plugins.mjs [--fixtures]`.
// Cargo knows what is up to date. `--fixtures` also builds the plugins that exist for tests.
import { buildFixtures, buildPlugins } from "./setup.mjs";
import { checkRust, SetupError } from "./toolchain.mjs";

const usage = "usage: node scripts/build-plugins.mjs [--fixtures]";

async function main(options) {
  const unknown = options.find((option) => option !== "--fixtures");
  if (unknown !== undefined) {
    throw new SetupError(`There is no option "${unknown}".\n${usage}`);
  }
  checkRust();
  await buildPlugins();
  if (options.includes("--fixtures")) {
    await buildFixtures();
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetupError)) {
    throw error;
  }
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
