// The version of this package, as its package.json has it.
import { readFileSync } from "node:fs";
import { invariant } from "../base/errors.js";

export function poolerVersion(): string {
  // The same place from src/supervisor and dist/supervisor.
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const version = typeof manifest === "object" && manifest !== null && "version" in manifest ? manifest.version : null;
  invariant(typeof version === "string", "package.json has no version");
  return version;
}
