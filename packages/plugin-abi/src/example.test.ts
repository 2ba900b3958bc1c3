import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { includeDir } from "./index.js";

it("compiles the C example with the command that stands in it", () => {
  const examples = join(includeDir, "..", "examples", "c");
  const command = /^ \* (cc .*)$/m.exec(readFileSync(join(examples, "by-customer.c"), "utf8"))?.[1];
  const folder = mkdtempSync(join(tmpdir(), "pooler-example-"));
  try {
    const library = join(folder, "by-customer.so");
    const [cc = "", ...args] = String(command)
      .replace(/-o .*$/, `-Wall -Wextra -Wpedantic -Werror -o ${library}`)
      .split(" ");
    execFileSync(cc, args, { cwd: examples, stdio: "pipe" });
    const symbols = readFileSync(library, "latin1");
    expect(symbols).toContain("pooler_plugin_info_v1");
    expect(symbols).toContain("pooler_route_query");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
