// Keeps archives read-only: a statement that writes to a table whose name begins with the prefix of the configuration is refused, whoever
// sends it, however it is sent.
import { definePlugin, refuse } from "@pooler/plugin-abi/js";

interface State {
  readonly prefix: string;
}

export default definePlugin<State, string | null>({
  name: "template-plugin-name",
  // inspect: asked about every statement, wherever the plugin stands in the chain. facts: the pooler says which tables a statement uses, and how.
  capabilities: ["inspect", "facts"],

  // Once per worker process and entry of the configuration, which config.schema.json has been held against.
  create(config) {
    const { prefix = "archive_" } = config;
    if (typeof prefix !== "string" || prefix === "") throw new Error("config: prefix: is no text, or empty");
    for (const key of Object.keys(config)) if (key !== "prefix") throw new Error(`config: unknown key "${key}"`);
    return { prefix };
  },

  // The archive that a statement text writes to: worked out once for each text.
  learn(statement, { prefix }) {
    return statement.tables.find((table) => table.written && table.name.startsWith(prefix))?.name ?? null;
  },

  route({ learned: archive }) {
    if (archive === null) return undefined;
    return refuse(`table "${archive}" is an archive`, { hint: "Archives can be read. To change one, go past the pooler." });
  },
});
