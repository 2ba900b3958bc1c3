// pnpm bench: builds what is to be measured, then measures. What is measured and how is in tools/bench.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildPlugins, buildTypeScript, installDependencies, say } from "./setup.mjs";
import { checkNode, checkRust, root, SetupError } from "./toolchain.mjs";

try {
  checkNode();
  await installDependencies();
  await buildTypeScript();
  await buildPluginsIfPossible();
  const { runBench } = await import(pathToFileURL(join(root, "tools", "bench", "dist", "index.js")).href);
  process.exitCode = await runBench(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetupError)) {
    throw error;
  }
  say(`\n${error.message}`);
  process.exitCode = 1;
}

/** One peer alone needs them; without Rust it is left out. */
async function buildPluginsIfPossible() {
  try {
    checkRust();
  } catch (error) {
    if (!(error instanceof SetupError)) {
      throw error;
    }
    say("• no Rust toolchain: the pooler is measured without plugins only");
    return;
  }
  await buildPlugins();
}
