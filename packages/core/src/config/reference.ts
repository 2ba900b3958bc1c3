// docs/configuration.md and docs/pooler.schema.json, written from the schema, so that they cannot say anything else.
import { z } from "zod";
import { allowedText, type SchemaNode } from "./allowed.js";
import { minimalConfig } from "./load-config.js";
import { fileSchema } from "./schema.js";
import { describeSchema } from "./validate.js";

/** JSON Schema of pooler.toml, for editors. */
export function configJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(fileSchema, {
    io: "input",
    override: ({ jsonSchema }) => {
      // Notes for our own messages; what they say of the form is added to what editors show.
      const node = jsonSchema as Record<string, unknown>;
      if (typeof node["allowed"] === "string" && typeof node["description"] === "string") {
        node["description"] = `${node["description"]} Allowed: ${node["allowed"]}.`;
      }
      for (const note of ["changeable", "allowed", "defaultText"]) delete node[note];
      if (JSON.stringify(node["default"]) === "{}") delete node["default"];
    },
  });
  return { $schema, title: "pooler.toml", description: "Configuration of Pooler, a PostgreSQL connection pooler.", ...schema };
}

const introduction = `# Configuration

Pooler reads one TOML file, \`pooler.toml\` in the working directory or the one that \`--config\` names. The smallest that works:

\`\`\`toml
${minimalConfig.trimEnd()}
\`\`\`

\`pooler check\` reads the file, finds and loads the plugins and says what is wrong, without starting anything; with \`--connect\` it also
tries to reach every server. Errors name the file, line and column, the key, its value and what is allowed, all at once:

\`\`\`
pooler.toml has 2 errors:
  pooler.toml:2:8: listen.port: 70000 is not allowed; expected a whole number from 0 to 65535
  pooler.toml:7:1: databases.app.pool_sise: unknown key; did you mean pool_size?
\`\`\`

Editors that know JSON Schema complete and check the file: \`pooler config-schema > pooler.schema.json\`, and as its first line
\`#:schema ./pooler.schema.json\`.

## Forms of values

* **Durations**: \`"250ms"\`, \`"5s"\`, \`"2m"\`, \`"1h"\`, \`"1d"\`, or whole milliseconds.
* **Sizes**: \`"512kB"\`, \`"64MB"\`, \`"1GB"\` (powers of 1024, as in PostgreSQL), or whole bytes.
* **Secrets and server URLs** stand in the file itself, in an environment variable (\`"env:NAME"\`) or in a file of their own (\`"file:PATH"\`; a
  line feed at its end does not count). They never appear in messages, logs or \`SHOW CONFIG\`.
* **Paths** are relative to the configuration file.
* **Server URLs**: \`postgres://user:password@host:port/database?sslmode=…\`. Only the host is needed: the port is 5432, the database has the name
  that clients ask for, and for user and password see below. Characters such as \`@\`, \`/\` and \`#\` in user and password are percent-encoded. IPv6
  addresses stand in brackets, \`postgres://[::1]/app\`; a Unix-domain socket is \`postgres:///app?host=/var/run/postgresql\`. \`sslmode\` is
  \`disable\` (the default), \`require\`, or \`verify-full\` with the authorities in \`sslrootcert=PATH\` (without it: those that Node knows). No other
  parameters are taken.

## Who the pooler is at a server

User and password are looked for in this order: the server's URL; \`user\` and \`password\` of the shard, then of the database; \`server_user\` and
\`server_password\` of the client's user; the client's own name and \`password\`. A user with only a \`verifier\` can be logged in
only at servers that store the very same SCRAM verifier, since the pooler does not know the password; \`pooler check\` warns.

## Reload

\`SIGHUP\` and the console's \`RELOAD\` read the file again. A file with errors changes nothing. New values hold for new transactions, and no client is
dropped. Keys marked *restart* below keep their old value until the pooler is started again, and the log names them.
`;

/** The text of docs/configuration.md. */
export function renderConfigReference(): string {
  const root = describeSchema();
  const sections = Object.entries(root.properties ?? {});
  const loose = sections.filter(([, node]) => node.changeable !== undefined);
  const tables = sections.filter(([, node]) => node.changeable === undefined);
  return [
    "<!-- Generated from packages/core/src/config/schema.ts and reference.ts: change those, then `pnpm --filter @pooler/core docs`. -->\n",
    introduction,
    "## Keys\n",
    "### Top of the file, before the first table\n",
    keyTable(loose),
    ...tables.map(([name, node]) => renderSection(name, node)),
  ].join("\n");
}

function renderSection(name: string, node: SchemaNode): string {
  const entry = typeof node.additionalProperties === "object" ? node.additionalProperties : (node.items ?? null);
  const isList = node.items !== undefined;
  const title = isList ? `[[${name}]]` : entry === null ? `[${name}]` : `[${name}.NAME]`;
  const keys = Object.entries((entry ?? node).properties ?? {});
  const own = keys.filter(([, key]) => key.changeable !== undefined);
  const inner = keys.filter(([, key]) => key.changeable === undefined);
  return [
    `### \`${title}\`\n`,
    `${node.description ?? ""}\n`,
    keyTable(own),
    ...examplesOf(name),
    ...inner.map(([key, innerNode]) => renderSection(`${name}.${key}`, innerNode)),
  ].join("\n");
}

function keyTable(keys: readonly (readonly [string, SchemaNode])[]): string {
  const rows = keys.map(([name, node]) => {
    const meaning = node.changeable === true ? node.description : `${node.description} *(restart)*`;
    return `| \`${name}\` | ${cell(allowedText(node))} | ${cell(defaultOf(node))} | ${cell(meaning ?? "")} |`;
  });
  return ["| key | allowed | default | |", "|---|---|---|---|", ...rows, ""].join("\n");
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

function defaultOf(node: SchemaNode): string {
  if (node.default === undefined) return node.defaultText ?? "";
  if (Array.isArray(node.default) && node.default.length === 0) return "none";
  return typeof node.default === "object" ? "" : `\`${JSON.stringify(node.default)}\``;
}

function examplesOf(section: string): string[] {
  const example = examples[section];
  return example === undefined ? [] : [`\`\`\`toml\n${example}\n\`\`\`\n`];
}

/** Each is read by a test. */
export const examples: Readonly<Record<string, string>> = {
  databases: `[databases.app]                        # two shards, each a primary and a replica
shards = [
  { primary = "postgres://db1/app", replicas = ["postgres://db1r/app"] },
  { primary = "postgres://db2/app", replicas = ["postgres://db2r/app"] },
]

[databases.reports]                    # one server, one user for everyone
url = "postgres://warehouse:5433/reports?sslmode=require"
user = "reporting"
password = "env:REPORTING_PASSWORD"
pool_mode = "session"`,
  users: `[users.app]
password = "env:APP_PASSWORD"

[users.web]                            # proves itself with what PostgreSQL stores; logs in at servers with another secret
verifier = "file:secrets/web.verifier"
server_user = "app"
server_password = "env:APP_PASSWORD"

[users.operator]
password = "file:secrets/operator"
console = "admin"
databases = ["pooler"]`,
  plugins: `[[plugins]]
name = "@pooler/plugin-read-write-split"

[[plugins]]
name = "@pooler/plugin-hash-sharding"
on_error = "fail"
[plugins.config]
tables = [{ table = "users", column = "id", type = "bigint" }]`,
};
