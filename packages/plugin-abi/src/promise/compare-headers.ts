// What a later header has changed of a released one: nothing that was declared may be gone or different, and a struct grows at its
// end only. Comments may be made clearer, and bodies of the inline accessors better: neither is in a library that was built.

/** Struct whose elements are found by a stride, and so may grow, too. */
const elements = new Set([
  "pooler_parameter",
  "pooler_table",
  "pooler_function",
  "pooler_host",
  "pooler_pair",
  "pooler_column",
  "pooler_value",
]);

/** In words for whoever made the change; none when the promise is kept. */
export function compareHeaders(released: string, current: string): readonly string[] {
  const before = declarationsOf(released);
  const now = declarationsOf(current);
  const problems: string[] = [];
  for (const [name, text] of before.single) {
    const found = now.single.get(name);
    if (name === "#define POOLER_ABI_MINOR" && found !== undefined) continue;
    if (found === undefined) problems.push(`${name} was released and is gone`);
    else if (found !== text) problems.push(`${name} was released as "${text}" and is "${found}" now`);
  }
  for (const [name, fields] of before.structs) {
    const found = now.structs.get(name);
    if (found === undefined) problems.push(`struct ${name} was released and is gone`);
    else problems.push(...compareFields(name, fields, found));
  }
  for (const name of now.repeated) problems.push(`${name} is declared twice`);
  return problems;
}

/** Whether the later header declares anything that the released one does not. */
export function hasAdditions(released: string, current: string): boolean {
  const before = declarationsOf(released);
  const now = declarationsOf(current);
  const isLonger = ([name, fields]: readonly [string, readonly string[]]): boolean =>
    fields.length > (before.structs.get(name)?.length ?? 0);
  return [...now.single.keys()].some((name) => !before.single.has(name)) || [...now.structs].some(isLonger);
}

export function minorOf(header: string): number {
  return Number(/^#define POOLER_ABI_MINOR (\d+)u$/m.exec(header)?.[1]);
}

function compareFields(name: string, before: readonly string[], now: readonly string[]): readonly string[] {
  const changed = before.findIndex((field, index) => now[index] !== field);
  if (changed !== -1) {
    return [`struct ${name}: "${before[changed]}" was released as field ${changed + 1}, which is "${now[changed] ?? "nothing"}" now`];
  }
  const mayGrow = before[0] === "uint32_t size;" || elements.has(name);
  if (now.length > before.length && !mayGrow) {
    return [`struct ${name} may not grow: it has no size, and nobody finds it by a stride`];
  }
  return [];
}

interface Declarations {
  /** Everything but structs, by what it is called. */
  readonly single: ReadonlyMap<string, string>;
  readonly structs: ReadonlyMap<string, readonly string[]>;
  readonly repeated: readonly string[];
}

const patterns: readonly { readonly pattern: RegExp; readonly kind: string }[] = [
  { kind: "#define ", pattern: /^#define (?<name>\w+)(?<text>.*)$/gm },
  { kind: "#undef ", pattern: /^#undef (?<name>\w+)(?<text>)$/gm },
  { kind: "#include ", pattern: /^#include (?<name>\S+)(?<text>)$/gm },
  { kind: "", pattern: /^typedef (?<text>[^{;]*\(\*(?<name>\w+)\)[^;]*);/gm },
  { kind: "", pattern: /^typedef (?<text>[^{;(]*\b(?<name>\w+));/gm },
  { kind: "", pattern: /^POOLER_EXPORT (?<text>[^;{]*?\b(?<name>\w+)\([^;{]*);/gm },
  { kind: "", pattern: /^static inline (?<text>[^;{]*?\b(?<name>\w+)\([^;{]*)\{/gm },
];

function declarationsOf(header: string): Declarations {
  const bare = header
    .replaceAll(/\/\*[\s\S]*?\*\//g, "")
    .replaceAll(/[ \t]+/g, " ")
    .replaceAll(/ +$/gm, "");
  const single = new Map<string, string>();
  const repeated: string[] = [];
  for (const { kind, pattern } of patterns) {
    for (const { groups } of bare.matchAll(pattern)) {
      const key = `${kind}${groups?.["name"]}`;
      const text = oneLine(groups?.["text"] ?? "");
      // What differs between systems is defined once for each.
      if (single.has(key) && key !== "#define POOLER_EXPORT") repeated.push(key);
      single.set(key, single.has(key) ? `${single.get(key)} | ${text}` : text);
    }
  }
  const structs = new Map<string, readonly string[]>();
  for (const [, name = "", body = ""] of bare.matchAll(/^typedef struct (\w+) \{([^}]*)\} \1;/gm)) {
    if (structs.has(name)) repeated.push(`struct ${name}`);
    structs.set(
      name,
      [...body.matchAll(/[^;]+;/g)].map(([field]) => oneLine(field)),
    );
  }
  return { single, structs, repeated };
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim();
}
