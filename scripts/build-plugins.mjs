// Builds the reference plugins and lays them into the packages that carry them: `node scripts/build-plugins.mjs [--fixtures]`.
// Cargo knows what is up to date. `--fixtures` also builds the plugins that exist for tests; `--platform NAME` builds for that platform
// instead, with cargo-zigbuild and zig.
import { buildFixtures, buildPlugins, platformNames } from "./setup.mjs";
import { checkRust, SetupError } from "./toolchain.mjs";

const usage = "usage: node scripts/build-plugins.mjs [--fixtures | --platform NAME…]";

async function main(options) {
  if (options[0] === "--platform") {
    const unknown = options.slice(1).find((name) => !platformNames.includes(name));
    if (unknown !== undefined || options.length === 1) {
      throw new SetupError(
        `${unknown === undefined ? "No platform is named" : `There is no platform "${unknown}"`}; there are ${platformNames.join(", ")}.\n${usage}`,
      );
    }
    checkRust();
    for (const platform of options.slice(1)) {
      await buildPlugins(platform);
    }
    return;
  }
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
