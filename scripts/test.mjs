// npm test: sets up what is missing, runs every check and test, and ends with one line that counts them all.
//   npm test [-- lint|rust|unit|integration|streams …]
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildFixtures, buildPlugins, buildTypeScript, installDependencies, run, say, toolEnvironment } from "./setup.mjs";
import { checkNode, checkRust, hasCargoCommand, root, SetupError } from "./toolchain.mjs";

const rustDirectory = join(root, "rust-plugins");
const bin = (name) => join(root, "node_modules", ".bin", name);

/** What a part of the suite came to. A check that is not a test runner (a linter, a compiler) counts as one. */
const noCounts = { passed: 0, failed: 0, skipped: 0 };

const parts = {
  async lint() {
    const checks = [
      ["format and lint", bin("biome"), ["check", "--error-on-warnings", "."], root],
      ["types of the packages", bin("turbo"), ["run", "typecheck", "--continue", "--output-logs=errors-only"], root],
      ["types of the root", bin("tsc"), ["-p", "tsconfig.json"], root],
      ["dependency layers", bin("depcruise"), ["--config", ".dependency-cruiser.cjs", "--output-type", "err", "packages/core/src"], root],
      ["Rust format", "cargo", ["fmt", "--all", "--check"], rustDirectory, "fmt"],
      [
        "Rust lint",
        "cargo",
        ["clippy", "--locked", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
        rustDirectory,
        "clippy",
      ],
    ];
    const counts = { ...noCounts };
    for (const [title, command, args, cwd, cargoCommand] of checks) {
      say(`• ${title}`);
      if (cargoCommand !== undefined && !hasCargoCommand(cargoCommand)) {
        say(
          `  skipped: cargo ${cargoCommand} is not installed (rustup component add ${cargoCommand === "fmt" ? "rustfmt" : cargoCommand})`,
        );
        counts.skipped += 1;
        continue;
      }
      const { code } = await run(command, args, { cwd, allowFailure: true });
      counts[code === 0 ? "passed" : "failed"] += 1;
    }
    return counts;
  },

  async rust() {
    say("• Rust tests");
    const { code, output } = await run("cargo", ["test", "--locked", "--workspace", "--no-fail-fast"], {
      cwd: rustDirectory,
      allowFailure: true,
      capture: true,
      echo: true,
    });
    const counts = { ...noCounts };
    for (const [, passed, failed, ignored] of output.matchAll(/^test result: \S+ (\d+) passed; (\d+) failed; (\d+) ignored/gm)) {
      counts.passed += Number(passed);
      counts.failed += Number(failed);
      counts.skipped += Number(ignored);
    }
    return withFailure(counts, code);
  },

  unit: () => vitest("unit tests", ["--project", "!integration"]),

  integration: () => vitest("integration tests", ["--project", "integration"]),

  /** What depends on how sockets are read and written, once more on the engine that is not the default here. */
  async streams() {
    if (process.platform !== "linux") {
      say("• integration tests on streams\n  they are the default here: nothing to add");
      return { ...noCounts };
    }
    return vitest("integration tests on streams", ["--project", "integration", ...wireDependent], { POOLER_TEST_IO: "streams" });
  },
};

const wireDependent = ["protocol", "operations", "drivers"].map((folder) => `tests/src/${folder}/`);

async function vitest(title, args, environment = {}) {
  say(`• ${title}`);
  const directory = mkdtempSync(join(tmpdir(), "pooler-test-report-"));
  const report = join(directory, "report.json");
  try {
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
    const { code } = await run(bin("vitest"), ["run", "--passWithNoTests", ...reporters, ...args], {
      allowFailure: true,
      env: { ...toolEnvironment, ...environment },
    });
    const counts = { ...noCounts };
    try {
      const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(readFileSync(report, "utf8"));
      counts.passed += numPassedTests;
      counts.failed += numFailedTests;
      counts.skipped += numPendingTests + numTodoTests;
      // A file that could not even be loaded has no tests that could have failed.
      counts.failed += testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0).length;
    } catch {
      say(`  ${title}: vitest wrote no report`);
      counts.failed += 1;
    }
    return withFailure(counts, code);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A runner that failed without a failed test (did not compile, an unhandled error) must not read as a success. */
function withFailure(counts, code) {
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

function describe({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** Without a build there is nothing to test, but the checks may still say what is wrong. */
async function build(results) {
  try {
    await buildTypeScript();
    await buildPlugins();
    await buildFixtures();
    return true;
  } catch (error) {
    if (!(error instanceof SetupError)) {
      throw error;
    }
    say(error.message);
    results.push(["build", { ...noCounts, failed: 1 }]);
    return false;
  }
}

async function main(names) {
  const unknown = names.filter((name) => !Object.hasOwn(parts, name));
  if (unknown.length > 0) {
    throw new SetupError(`There is no part "${unknown[0]}" of the tests. Parts: ${Object.keys(parts).join(", ")}.`);
  }
  const chosen = names.length === 0 ? Object.keys(parts) : names;
  checkNode();
  checkRust();
  await installDependencies();
  const results = [];
  const needBuild = chosen.filter((name) => ["unit", "integration", "streams"].includes(name));
  const built = needBuild.length === 0 || (await build(results));
  for (const name of chosen) {
    if (built || !needBuild.includes(name)) {
      results.push([name, await parts[name]()]);
    }
  }
  const total = { ...noCounts };
  process.stdout.write("\n");
  for (const [name, counts] of results) {
    process.stdout.write(`${name.padEnd(12)} ${describe(counts)}\n`);
    for (const key of Object.keys(total)) {
      total[key] += counts[key];
    }
  }
  process.stdout.write(`${describe(total)}\n`);
  return total.failed === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetupError)) {
    throw error;
  }
  say(`\n${error.message}`);
  process.exitCode = 1;
}
