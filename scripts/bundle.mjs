// Puts what a package runs into few files, its devDependencies included, since Node reads a few files much sooner than hundreds:
//   node ../../scripts/bundle.mjs OUTPUT NAME=ENTRY...    in the package's folder, after tsc
// OUTPUT is two folders deep, like the files that tsc writes: paths relative to a module stay right. dependencies are not included.
import { cpSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { rolldown } from "rolldown";

const [output, ...entries] = process.argv.slice(2);
const manifest = JSON.parse(readFileSync("package.json", "utf8"));
const external = [manifest.name, ...Object.keys(manifest.dependencies ?? {}), ...Object.keys(manifest.peerDependencies ?? {})];

const bundle = await rolldown({
  input: Object.fromEntries(entries.map((entry) => entry.split("="))),
  platform: "node",
  external: (id) => external.some((name) => id === name || id.startsWith(`${name}/`)),
  onLog(level, log) {
    // What is loaded late from its own folder may be in a chunk that is loaded early.
    if (log.code !== "INEFFECTIVE_DYNAMIC_IMPORT") throw new Error(`${level}: ${log.message}`);
  },
});
const { output: files } = await bundle.write({
  dir: output,
  format: "esm",
  entryFileNames: "[name].js",
  chunkFileNames: "[name]-[hash].js",
});
await bundle.close();
// Not before: a pooler that is started meanwhile finds its files.
const written = new Set(files.map(({ fileName }) => fileName));
for (const name of readdirSync(output)) if (!written.has(name)) rmSync(join(output, name));

// Their licenses want to go along.
const included = new Set();
for (const file of files) {
  for (const path of Object.keys(file.modules ?? {})) {
    const found = /^(.*\/node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(path);
    if (found !== null) included.add(`${found[2]}\n${found[1]}`);
  }
}
for (const entry of included) {
  const [name, folder] = entry.split("\n");
  cpSync(join(folder, "LICENSE"), resolve(output, "..", "licenses", name.replace("/", "-")), { recursive: true });
}
