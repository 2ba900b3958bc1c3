// What must be on the machine before anything else can be done: Node, Cargo, a C compiler. Runs before dependencies are installed, so it has none.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const minimumNode = [20, 19];
const minimumRust = [1, 85];
const rustup = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh";

/** Something the reader can act on; printed without a stack trace. */
export class SetupError extends Error {}

export function checkNode() {
  if (isOlder(process.versions.node, minimumNode)) {
    throw new SetupError(
      `Pooler needs Node.js ${minimumNode.join(".")} or newer, and this is ${process.versions.node}.\nGet one from https://nodejs.org/en/download.`,
    );
  }
}

/** Also finds a Cargo that rustup has just installed and this shell's PATH does not name yet. */
export function checkRust() {
  if (versionOf("cargo") === undefined) {
    const home = join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "bin");
    if (existsSync(join(home, "cargo"))) {
      process.env.PATH = `${home}${delimiter}${process.env.PATH ?? ""}`;
    }
  }
  const version = versionOf("cargo");
  if (version === undefined) {
    throw new SetupError(`The plugins are written in Rust, and there is no Rust toolchain (cargo) here. This gets one:\n\n    ${rustup}\n`);
  }
  if (isOlder(version, minimumRust)) {
    throw new SetupError(
      `The plugins need Rust ${minimumRust.join(".")} or newer, and this is ${version}. This gets a newer one:\n\n    rustup update stable\n\nor, without rustup:\n\n    ${rustup}\n`,
    );
  }
  if (!runs("cc")) {
    const command =
      process.platform === "darwin" ? "xcode-select --install" : "apt-get install build-essential   (or your system's gcc or clang)";
    throw new SetupError(`Rust links with the system's C compiler, and there is no cc here. This gets one:\n\n    ${command}\n`);
  }
}

export function hasCargoCommand(name) {
  return runs("cargo", [name, "--version"]);
}

function versionOf(command) {
  const { status, stdout } = spawnSync(command, ["--version"], { encoding: "utf8", cwd: root });
  return status === 0 ? stdout.match(/\d+\.\d+\.\d+/)?.[0] : undefined;
}

function runs(command, args = ["--version"]) {
  return spawnSync(command, args, { stdio: "ignore", cwd: root }).status === 0;
}

function isOlder(version, [major, minor]) {
  const [haveMajor = 0, haveMinor = 0] = version.split(".").map(Number);
  return haveMajor < major || (haveMajor === major && haveMinor < minor);
}
