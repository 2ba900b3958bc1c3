import { describe, expect, test } from "vitest";
import { indexPositions, type KeyPath } from "./positions.js";

/** `«` marks the place that is asked for, and is taken out of the text. */
function marked(text: string): { toml: string; place: { line: number; column: number } } {
  const at = text.indexOf("«");
  const before = text.slice(0, at).split("\n");
  return { toml: text.replace("«", ""), place: { line: before.length, column: (before.at(-1) ?? "").length + 1 } };
}

describe("where a value stands", () => {
  test.each<[string, KeyPath, string]>([
    ["at the top", ["workers"], "# first\nworkers = «3"],
    ["in a table", ["listen", "port"], '[listen]\nhost = "a"\nport = «70000 # comment'],
    ["in a table with dotted header", ["listen", "tls", "mode"], '[listen.tls]\nmode = «"no"'],
    ["with a dotted key", ["listen", "tls", "mode"], '[listen]\ntls.mode = «"no"'],
    ["in an inline table", ["a", "b", "c"], "a = { x = 1, b = { c = «2 } }"],
    ["in a list", ["a", 2], "a = [1, 2, «3]"],
    [
      "in a list of inline tables",
      ["d", "shards", 1, "primary"],
      '[d]\nshards = [\n  { primary = "x", replicas = ["y"] }, # one\n  { primary = «"z" },\n]',
    ],
    ["in the n-th of an array of tables", ["plugins", 1, "name"], '[[plugins]]\nname = "a"\n\n[[plugins]]\nname = «"b"'],
    [
      "in a table of the n-th",
      ["plugins", 1, "config", "k"],
      "[[plugins]]\n[plugins.config]\nk = 1\n[[plugins]]\n[plugins.config]\nk = «2",
    ],
    ["in nested arrays of tables", ["a", 0, "b", 1, "c"], "[[a]]\n[[a.b]]\nc = 1\n[[a.b]]\nc = «2\n[[a]]"],
    ["under a quoted key", ["databases", "my.db", "url"], '[databases."my.db"]\nurl = «1'],
    ["under a key with escapes", ["databases", "ä\t", "url"], '[databases."\\u00e4\\t"]\nurl = «1'],
    ["under a literal key", ["databases", 'a"b', "url"], "[databases.'a\"b']\nurl = «1"],
    ["after strings with brackets, hashes and quotes", ["b"], `a = "[{#\\"="\nc = '[{#='\nb = «1`],
    ["after multi-line strings", ["b"], 'a = """\nb = 2\n\\""" quoted ""\n""""\nc = \'\'\'\nb = 3\n\'\'\'\nb = «1'],
    ["after dates", ["b"], "a = 1979-05-27 07:32:00\nb = «1"],
    ["with carriage returns", ["b"], "a = 1\r\nb = «1\r\n"],
    ["after a byte order mark", ["b"], "\ufeffa = 1\nb = «1"],
    ["with blanks in headers and keys", ["a", "b", "c"], '[ a . "b" ]\n  c   =   «1'],
  ])("%s", (_, path, text) => {
    const { toml, place } = marked(text);
    expect(indexPositions(toml).valueAt(path)).toEqual(place);
  });
});

describe("where a key stands", () => {
  test.each<[string, KeyPath, string]>([
    ["itself", ["listen", "prot"], "[listen]\n«prot = 1"],
    ["a table at its header", ["databases", "app"], '[listen]\n«[databases.app]\nurl = "x"'],
    ["the n-th of an array of tables at its header", ["plugins", 1], '[[plugins]]\nname = "a"\n«[[plugins]]'],
    ["a table that is only named in a longer header", ["databases"], "[«databases.app]"],
    ["missing: the table around it", ["plugins", 1, "name"], '[[plugins]]\nname = "a"\n«[[plugins]]\non_error = "fail"'],
    [
      "missing in an inline table: the element of the list",
      ["d", "shards", 1, "primary"],
      '[d]\nshards = [{ primary = "x" }, «{ replicas = [] }]',
    ],
    ["missing altogether: the beginning", ["databases"], "«workers = 1"],
  ])("%s", (_, path, text) => {
    const { toml, place } = marked(text);
    expect(indexPositions(toml).keyAt(path)).toEqual(place);
  });
});

test("a text that is not TOML never makes it hang", () => {
  for (const text of ["[", "[[", "a", "a =", "a = [", "a = {", "a = { b", "a = { = }", '"', "a = '", "= 1", "a = [[[{", "]]]", "a = ]"]) {
    expect(indexPositions(text).valueAt(["x"])).toEqual({ line: 1, column: 1 });
  }
});
