// REFERENCE.md out of the header: every constant, field, export and accessor with what the header says of it. Offsets are those that
// the compiler gives, which the layout's test sees to. Adds no words about the contract.
import { structs } from "../layout.js";

const intro = `# Every field of the plugin contract

Made from [\`include/pooler_plugin.h\`](include/pooler_plugin.h), which is right where the two differ; [\`ABI.md\`](ABI.md) says how it all works together.
Offsets and sizes are in bytes, on 64-bit platforms. \`pooler_slice\`, \`pooler_array\` and \`pooler_ref\` count from the first byte of the frame.
`;

interface Constant {
  readonly kind: "constant";
  readonly name: string;
  readonly value: string;
  readonly about: string;
}

interface Field {
  readonly name: string;
  readonly type: string;
  readonly about: string;
}

interface Struct {
  readonly kind: "struct";
  readonly name: string;
  readonly above: string;
  readonly fields: readonly Field[];
}

interface Callable {
  readonly kind: "callable";
  readonly name: string;
  readonly signature: string;
  readonly above: string;
}

interface Alias {
  readonly kind: "alias";
  readonly name: string;
  readonly type: string;
  readonly above: string;
}

type Declaration = Constant | Struct | Callable | Alias;

interface Section {
  readonly title: string;
  readonly declarations: readonly Declaration[];
}

export function renderReference(header: string): string {
  return [intro, ...sectionsOf(header).map(renderSection)].join("\n");
}

function sectionsOf(header: string): readonly Section[] {
  const parts = header.split(/^\/\* -{4} (.*?) -+ \*\/$/m);
  const sections: Section[] = [];
  for (let i = 1; i < parts.length; i += 2) sections.push({ title: parts[i] ?? "", declarations: declarationsOf(parts[i + 1] ?? "") });
  return sections;
}

const declaration = new RegExp(
  [
    /^\/\*(?<comment>[\s\S]*?)\*\/$/,
    /^#define (?<constant>POOLER_\w+) +(?<value>\S+)(?: *\/\*(?<aboutConstant>[\s\S]*?)\*\/)?$/,
    /^typedef struct (?<struct>\w+) \{\n(?<body>[\s\S]*?)^\} \w+;$/,
    /^typedef (?<result>[^;{]*?)\(\*(?<callable>\w+)_fn\)(?<parameters>[^;]*);$/,
    /^static inline (?<inline>[^;{]*?\)) \{\n[\s\S]*?^\}$/,
    /^typedef (?<aliased>\w+) (?<alias>\w+);$/,
  ]
    .map(({ source }) => source)
    .join("|"),
  "gm",
);

function declarationsOf(text: string): readonly Declaration[] {
  const found: Declaration[] = [];
  let above = "";
  for (const { groups = {} } of text.matchAll(declaration)) {
    const { comment, constant, struct, callable, inline, alias } = groups;
    if (comment !== undefined) {
      above = plain(comment);
      continue;
    }
    if (constant !== undefined) {
      const value = (groups["value"] ?? "").replace(/^\((.*)\)$/, "$1").replace(/u$/, "");
      found.push({ kind: "constant", name: constant, value, about: `${above} ${plain(groups["aboutConstant"] ?? "")}`.trim() });
    } else if (struct !== undefined) {
      found.push({ kind: "struct", name: struct, above, fields: fieldsOf(groups["body"] ?? "") });
    } else if (callable !== undefined) {
      found.push({
        kind: "callable",
        name: callable,
        above,
        signature: signature(`${groups["result"]}${callable}${groups["parameters"]}`),
      });
    } else if (inline !== undefined) {
      found.push({ kind: "callable", name: /(\w+)\(/.exec(inline)?.[1] ?? "", above, signature: signature(inline) });
    } else if (alias !== undefined) {
      found.push({ kind: "alias", name: alias, type: groups["aliased"] ?? "", above });
    }
    above = "";
  }
  return found;
}

function fieldsOf(body: string): readonly Field[] {
  return [...body.matchAll(/^ {2}(?<type>(?:const )?\w+ \*?)(?<name>\w+);(?: *\/\*(?<about>[\s\S]*?)\*\/)?$/gm)].map(({ groups = {} }) => ({
    name: groups["name"] ?? "",
    type: (groups["type"] ?? "").trim(),
    about: plain(groups["about"] ?? ""),
  }));
}

/** A comment as Markdown, without its stars and line ends. */
function plain(comment: string): string {
  return comment
    .replaceAll(/^ \* ?/gm, "")
    .replaceAll(/\s+/g, " ")
    .trim()
    .replaceAll(/[|*<]/g, "\\$&");
}

function signature(text: string): string {
  return `${text.replaceAll(/\s+/g, " ").replaceAll("* ", "*").trim()};`;
}

function renderSection({ title, declarations }: Section): string {
  const parts: string[] = [`## ${title}\n`];
  let rows: string[] = [];
  const flush = (): void => {
    if (rows.length === 0) return;
    parts.push(`${["| constant | value | |", "|---|---|---|", ...rows].join("\n")}\n`);
    rows = [];
  };
  for (const each of declarations) {
    if (each.kind === "constant") {
      rows.push(row(`\`${each.name}\``, `\`${each.value}\``, each.about));
      continue;
    }
    flush();
    parts.push(renderNamed(each));
  }
  flush();
  return parts.join("\n");
}

function renderNamed(each: Exclude<Declaration, Constant>): string {
  const lines = [`### \`${each.name}\`\n`];
  if (each.above !== "") lines.push(`${each.above}\n`);
  if (each.kind === "alias") lines.push(`Another name of \`${each.type}\`.\n`);
  if (each.kind === "callable") lines.push("```c", each.signature, "```\n");
  if (each.kind === "struct") {
    const layout = (structs as Readonly<Record<string, { readonly size: number; readonly fields: Readonly<Record<string, number>> }>>)[
      each.name
    ];
    const offset = (field: string): string => `${layout?.fields[field] ?? ""}`;
    const fields = each.fields.map(({ name, type, about }) => row(offset(name), `\`${name}\``, `\`${type}\``, about));
    lines.push("| offset | field | type | |", "|---|---|---|---|", ...fields);
    lines.push(layout === undefined ? "" : `\n${layout.size} bytes.\n`);
  }
  return lines.join("\n");
}

function row(...cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}
