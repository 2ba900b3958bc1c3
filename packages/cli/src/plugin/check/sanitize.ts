// Builds C and C++ plugins with the sanitizers of the compiler, and finds the runtime that must be in the process before Node.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { buildPlugin, thisPlatform } from "../build/build-plugin.js";
import { findCompiler } from "../build/toolchain.js";
import type { PluginProject } from "../project.js";
import { tryTool } from "../run-tool.js";

export type Sanitizer =
  | { readonly available: true; readonly library: string; readonly env: Readonly<Record<string, string>> }
  | { readonly available: false; readonly why: string };

const flags = [
  ...["-g", "-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
  // A damaged frame may make a plugin look at odd addresses within it, which costs nothing on these machines.
  "-fno-sanitize=alignment",
];

export async function buildSanitized(project: PluginProject, output: string): Promise<Sanitizer> {
  const { source, folder } = project;
  if (source === null) return { available: false, why: "there is no source to build" };
  if (source.lang === "rust") return { available: false, why: "Rust has them in its nightly compiler only (-Zsanitizer)" };
  if (source.lang === "js") return { available: false, why: "it is JavaScript" };
  if (source.lang === "command") return { available: false, why: 'the plugin is built by a command of its own ("pooler.build")' };
  if (process.platform !== "linux") return { available: false, why: "macOS does not let their runtime into the node binary" };
  const platform = thisPlatform();
  const compiler = findCompiler(folder, source.lang, platform, false);
  const runtime = findRuntime(compiler.command, folder);
  if (runtime === null) return { available: false, why: `${compiler.name} has no AddressSanitizer here` };
  const probe = await tryTool(compiler.command, [...compiler.args, ...flags, "-x", "c", "-E", "/dev/null"], { cwd: folder, capture: true });
  if (probe.code !== 0) return { available: false, why: `${compiler.name} does not know -fsanitize=address,undefined` };
  const library = await buildPlugin({ project, platform, portable: false, flags, output });
  return {
    available: true,
    library,
    env: {
      LD_PRELOAD: runtime,
      // Node keeps what it allocates until the end, and catches no signal that tells a plugin's mistake.
      ASAN_OPTIONS:
        "detect_leaks=0:abort_on_error=1:handle_segv=1:handle_sigbus=1:allow_user_segv_handler=0:detect_stack_use_after_return=0",
      UBSAN_OPTIONS: "print_stacktrace=1:abort_on_error=1",
    },
  };
}

/** gcc and clang name theirs differently. */
function findRuntime(command: string, cwd: string): string | null {
  for (const name of ["libasan.so", `libclang_rt.asan-${process.arch === "x64" ? "x86_64" : "aarch64"}.so`]) {
    try {
      const path = execFileSync(command, [`-print-file-name=${name}`], {
        cwd,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }).trim();
      // One that it does not have is given back as it is.
      if (path !== name && existsSync(path)) return path;
    } catch {
      // A compiler that does not know the question has no answer.
    }
  }
  return null;
}
