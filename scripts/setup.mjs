// Brings a clone to the state that running and testing need: dependencies, TypeScript, plugins. Each step does nothing when it has
// nothing to do. Uses Node alone, since it runs before dependencies are installed. Everything it says goes to standard error.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { root, SetupError } from "./toolchain.mjs";

/** Packages whose native library comes out of rust-plugins: packages/plugin-x is the crate pooler-x with the library x. */
export const pluginNames = ["read-write-split", "hash-sharding", "validator"];

const binDirectory = join(root, "node_modules", ".bin");

export const toolEnvironment = {
  ...process.env,
  PATH: `${binDirectory}${delimiter}${process.env.PATH ?? ""}`,
  TURBO_TELEMETRY_DISABLED: "1",
  DO_NOT_TRACK: "1",
  TURBO_NO_UPDATE_NOTIFIER: "1",
  FORCE_COLOR: process.env.FORCE_COLOR ?? (process.stderr.isTTY ? "1" : "0"),
};

export function say(message) {
  process.stderr.write(`${message}\n`);
}

export async function step(title, work) {
  const started = performance.now();
  say(`• ${title}`);
  const result = await work();
  const seconds = (performance.now() - started) / 1000;
  if (seconds >= 1) {
    say(`  ${seconds.toFixed(1)} s`);
  }
  return result;
}

const passedOn = ["SIGTERM", "SIGHUP"];

/** Runs a tool in the repository; what it prints goes to standard error, so that standard output stays for results. */
export function run(
  command,
  args,
  { cwd = root, quiet = false, capture = false, echo = false, allowFailure = false, env = toolEnvironment } = {},
) {
  return new Promise((resolve, reject) => {
    const stdout = quiet || capture ? "pipe" : 2;
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", stdout, quiet ? "pipe" : 2] });
    let captured = "";
    let noise = "";
    child.stdout?.on("data", (chunk) => {
      if (capture) {
        captured += chunk;
        if (echo) {
          process.stderr.write(chunk);
        }
      } else {
        noise += chunk;
      }
    });
    child.stderr?.on("data", (chunk) => {
      noise += chunk;
    });
    // A terminal tells all of its processes; anything else tells only this one.
    let isStopped = false;
    const passOn = (signal) => {
      isStopped = true;
      child.kill(signal);
    };
    for (const signal of passedOn) {
      process.on(signal, passOn);
    }
    child.on("error", (cause) => reject(new SetupError(`${command} could not be run: ${cause.message}`)));
    child.on("close", (code, signal) => {
      for (const signal of passedOn) {
        process.off(signal, passOn);
      }
      if (isStopped || signal === "SIGINT" || signal === "SIGTERM" || signal === "SIGHUP") {
        process.exit(130);
      }
      if (code !== 0 && !allowFailure) {
        process.stderr.write(noise);
        reject(new SetupError(`${command} ${args.join(" ")} failed with ${signal ?? `code ${code}`}.`));
      } else {
        resolve({ code: code ?? 1, output: captured });
      }
    });
  });
}

/** Installs exactly what the lockfile says, unless that is what is installed. */
export async function installDependencies() {
  const stamp = join(root, "node_modules", ".pooler-installed");
  const wanted = digest(installInputs());
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted && existsSync(binDirectory)) {
    return;
  }
  await step("installing dependencies", async () => {
    const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const [command, ...prefix] = existsSync(join(binDirectory, "pnpm")) ? [join(binDirectory, "pnpm")] : ["npx", "--yes", packageManager];
    // Without a terminal pnpm would ask, and get no answer, before it replaces a node_modules of another layout.
    await run(command, [...prefix, "install", "--frozen-lockfile", "--config.confirmModulesPurge=false", "--reporter=append-only"]);
    writeFileSync(stamp, wanted);
  });
}

function installInputs() {
  const manifests = ["packages", "tools"]
    .flatMap((group) => readdirSync(join(root, group)).map((name) => join(group, name, "package.json")))
    .filter((path) => existsSync(join(root, path)));
  return ["pnpm-lock.yaml", "pnpm-workspace.yaml", "package.json", "tests/package.json", ...manifests.sort()];
}

function digest(paths) {
  const hash = createHash("sha256").update(process.version);
  for (const path of paths) {
    hash.update(path).update(readFileSync(join(root, path)));
  }
  return hash.digest("hex");
}

export async function buildTypeScript() {
  await step("building TypeScript", () => run(join(binDirectory, "turbo"), ["run", "build", "--output-logs=errors-only"], { quiet: true }));
}

/** What Rust calls the platforms, and the oldest C library or macOS that a library for them may want. */
const targets = {
  "linux-x64": "x86_64-unknown-linux-gnu.2.28",
  "linux-x64-musl": "x86_64-unknown-linux-musl",
  "linux-arm64": "aarch64-unknown-linux-gnu.2.28",
  "linux-arm64-musl": "aarch64-unknown-linux-musl",
  "darwin-x64": "x86_64-apple-darwin",
  "darwin-arm64": "aarch64-apple-darwin",
};

export const platformNames = Object.keys(targets);

/**
 * Builds the reference plugins and lays each library into the package that carries it. Cargo knows what is up to date. With a
 * platform, for that one: by cargo-zigbuild, which brings the C libraries of all of them; for macOS on macOS.
 */
export async function buildPlugins(platform = null) {
  const directory = join(root, "rust-plugins");
  await step(platform === null ? "building the plugins" : `building the plugins for ${platform}`, async () => {
    const crates = pluginNames.flatMap((name) => ["-p", `pooler-${name}`]);
    const format = "--message-format=json-render-diagnostics";
    const how = platform === null ? ["build"] : crossBuild(platform);
    const env = { ...toolEnvironment, ...buildEnvironment(platform ?? platformName()) };
    const { output } = await run("cargo", [...how, "--release", "--locked", format, ...crates], { cwd: directory, capture: true, env });
    const libraries = new Map();
    for (const line of output.split("\n").filter(Boolean)) {
      const message = JSON.parse(line);
      if (message.reason === "compiler-artifact" && message.target.crate_types.includes("cdylib")) {
        libraries.set(
          message.target.name,
          message.filenames.find((path) => /\.(so|dylib)$/.test(path)),
        );
      }
    }
    for (const name of pluginNames) {
      const library = libraries.get(name.replaceAll("-", "_"));
      if (library === undefined) {
        throw new SetupError(`Cargo built no shared library for the plugin ${name}.`);
      }
      placeLibrary(library, join(root, "packages", `plugin-${name}`, "prebuilds", platform ?? platformName()));
    }
  });
}

function crossBuild(platform) {
  const target = targets[platform];
  const verb = platform.startsWith("darwin") && process.platform === "darwin" ? "build" : "zigbuild";
  // A plugin is loaded by a process that has its C library already.
  const shared = platform.endsWith("-musl") ? ["--config", `target.${target}.rustflags=["-Ctarget-feature=-crt-static"]`] : [];
  return [verb, "--target", target, ...shared];
}

/** The oldest macOS, which is that of the builder's linker otherwise; and the zig that POOLER_ZIG names, for cargo-zigbuild. */
function buildEnvironment(platform) {
  const [zig, ...asModule] = (process.env.POOLER_ZIG ?? "").split(" ");
  return {
    ...(platform.startsWith("darwin") ? { MACOSX_DEPLOYMENT_TARGET: "11.0" } : {}),
    ...(zig === "" ? {} : asModule.length === 0 ? { CARGO_ZIGBUILD_ZIG_PATH: zig } : { CARGO_ZIGBUILD_PYTHON_PATH: zig }),
  };
}

/** Plugins that misbehave on purpose, and the reference plugins as tests load them. */
export async function buildFixtures() {
  await step("building the test plugins", () =>
    run("cargo", ["build", "--release", "--locked", "--workspace"], { cwd: join(root, "rust-plugins") }),
  );
}

/** The folder name that the plugin loader looks for. */
export function platformName() {
  const { header } = process.report.getReport();
  const isMusl = process.platform === "linux" && header.glibcVersionRuntime === undefined;
  return `${process.platform}-${process.arch}${isMusl ? "-musl" : ""}`;
}

function placeLibrary(library, directory) {
  const target = join(directory, library.endsWith(".dylib") ? "plugin.dylib" : "plugin.so");
  if (existsSync(target) && readFileSync(target).equals(readFileSync(library))) {
    return;
  }
  mkdirSync(directory, { recursive: true });
  // Renamed into place: a running pooler has the old file mapped, and writing into it would crash it.
  const unfinished = `${target}.${process.pid}`;
  try {
    copyFileSync(library, unfinished);
    chmodSync(unfinished, 0o755);
    renameSync(unfinished, target);
  } finally {
    rmSync(unfinished, { force: true });
  }
}
