import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Installation, readableInstallation } from "./installation.js";
import { canReach, type ServerUser } from "./server-user.js";

// Somebody who owns nothing here and is in no group of ours.
const stranger: ServerUser = { uid: 54_321, gid: 54_321, isOther: true, spawnOptions: {} };

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "installation-"));
  chmodSync(home, 0o755);
});

afterEach(() => {
  rmSync(home, { recursive: true });
});

function installationIn(directory: string): Installation {
  const root = join(directory, "native");
  mkdirSync(join(root, "bin"), { recursive: true });
  mkdirSync(join(root, "lib"));
  mkdirSync(join(root, "share", "postgresql"), { recursive: true });
  writeFileSync(join(root, "bin", "postgres"), "", { mode: 0o755 });
  writeFileSync(join(root, "share", "postgresql", "postgres.bki"), "", { mode: 0o644 });
  return { root, version: "18.4.0", major: 18 };
}

test("binaries that the server's user can read are used where they are", async () => {
  const installation = installationIn(home);
  expect(await readableInstallation(installation, stranger, home)).toBe(installation);
});

test("binaries below a private directory are copied to where the server's user can read them", async () => {
  const secret = join(home, "secret");
  mkdirSync(secret);
  const installation = installationIn(secret);
  chmodSync(join(installation.root, "share", "postgresql", "postgres.bki"), 0o600);
  chmodSync(secret, 0o700);
  const copy = await readableInstallation(installation, stranger, home);
  expect(copy.root).toBe(join(home, "postgresql"));
  expect(canReach(stranger, join(copy.root, "share", "postgresql", "postgres.bki"))).toBe(true);
  expect(statSync(join(copy.root, "bin", "postgres")).mode & 0o777).toBe(0o755);
});

test("a path is out of reach when one directory above it is private", () => {
  const inner = join(home, "a", "b");
  mkdirSync(inner, { recursive: true });
  expect(canReach(stranger, inner)).toBe(true);
  chmodSync(join(home, "a"), 0o700);
  expect(canReach(stranger, inner)).toBe(false);
  expect(canReach({ ...stranger, isOther: false }, inner)).toBe(true);
});
