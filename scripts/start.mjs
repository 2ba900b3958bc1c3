// npm start: from a fresh clone to a running demo. What the demo does is in tools/demo; this only gets there.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildPlugins, buildTypeScript, installDependencies, say } from "./setup.mjs";
import { checkNode, checkRust, root, SetupError } from "./toolchain.mjs";

try {
  checkNode();
  checkRust();
  await installDependencies();
  await buildTypeScript();
  const { readArguments, runDemo } = await import(pathToFileURL(join(root, "tools", "demo", "dist", "index.js")).href);
  const options = readArguments(process.argv.slice(2));
  if (typeof options === "number") {
    process.exitCode = options;
  } else {
    await buildPlugins(); // takes minutes the first time
    process.exitCode = await runDemo(options);
  }
} catch (error) {
  if (!(error instanceof SetupError)) {
    throw error;
  }
  say(`\n${error.message}`);
  process.exitCode = 1;
}
