// Random statements over two sharded tables and one that every shard holds whole: joins of all kinds, subqueries, WITH, UNION,
// and writes. Most are valid; what PostgreSQL refuses, the caller skips. Knows SQL only, not where it runs.

/** Numbers that look random and are the same for the same seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Source {
  readonly alias: string;
  readonly columns: readonly string[];
  /** Which of the columns hold keys, as far as the generator knows: it prefers them in conditions. */
  readonly keys: readonly string[];
}

interface Query {
  readonly sql: string;
  readonly columns: readonly string[];
  readonly keys: readonly string[];
}

const tables: Readonly<Record<string, { readonly columns: readonly string[]; readonly keys: readonly string[] }>> = {
  users: { columns: ["id", "boss", "x"], keys: ["id"] },
  posts: { columns: ["user_id", "n", "x"], keys: ["user_id"] },
  accounts: { columns: ["id", "uid", "x"], keys: [] },
};

const aliases = ["a", "b", "c", "d", "e", "f", "g", "h", "users", "posts"];

export function createStatements(random: () => number) {
  const chance = (probability: number) => random() < probability;
  const below = (limit: number) => Math.floor(random() * limit);
  function pick<T>(values: readonly T[]): T {
    const value = values[below(values.length)];
    if (value === undefined) {
      throw new RangeError("nothing to pick from");
    }
    return value;
  }
  // One key for most of a statement, so that its tables meet on one shard; and now few, now many conditions that name it, so
  // that the plugin must carry it over.
  const main = pick([1, 2, 3]);
  const named = pick([0.1, 0.3, 0.6]);
  const joined = pick([0.5, 0.8]);
  const key = () => String(chance(0.9) ? main : pick([1, 2, 3]));
  const literal = () => pick([key(), `'${key()}'`, `${key()}::bigint`, `${key()}::smallint`]);

  function column(sources: readonly Source[], outer: readonly Source[], wantsKey = chance(0.7)): string {
    const visible = outer.length > 0 && chance(0.3) ? outer : sources;
    const keyed = visible.filter((source) => source.keys.length > 0);
    const source = pick(wantsKey && keyed.length > 0 ? keyed : visible);
    const name = pick(wantsKey && source.keys.length > 0 ? source.keys : source.columns);
    return chance(0.15) ? name : `${source.alias}.${name}`;
  }

  function subquery(depth: number, outer: readonly Source[], width: number, ctes: readonly Source[]): string {
    return select(depth - 1, outer, ctes, { width }).sql;
  }

  function condition(sources: readonly Source[], outer: readonly Source[], depth: number, ctes: readonly Source[]): string {
    const all = [...outer, ...sources];
    const inside = () => condition(sources, outer, depth - 1, ctes);
    const some = () => column(sources, outer);
    const choices: (() => string)[] = [
      () => `${some()} = ${literal()}`,
      () => `${some()} = ${literal()}`,
      () => `${literal()} = ${some()}`,
      () => `${some()} = ${some()}`,
      () => `${some()} = ${some()}`,
      () => `${some()} IN (${literal()}, ${literal()})`,
      () => `${some()} = ANY (ARRAY[${key()}, ${key()}])`,
      () => `(${some()}, ${some()}) = (${literal()}, ${some()})`,
      () => `${some()} IS NOT DISTINCT FROM ${pick([literal(), some()])}`,
      () => `${some()} IS ${pick(["", "NOT "])}NULL`,
      () => `${some()} ${pick(["<", ">=", "<>"])} ${literal()}`,
      () => pick(["true", "false", "1 = 0", "NULL::boolean"]),
    ];
    if (depth > 0) {
      choices.push(
        () => `(${inside()} AND ${inside()})`,
        () => `(${inside()} AND ${inside()})`,
        () => `(${inside()} OR ${inside()})`,
        () => `NOT (${inside()})`,
        () => `EXISTS (${subquery(depth, all, 1, ctes)})`,
        () => `NOT EXISTS (${subquery(depth, all, 1, ctes)})`,
        () => `${some()} ${pick(["IN", "IN", "NOT IN"])} (${subquery(depth, all, 1, ctes)})`,
        () => `(${some()}, ${some()}) IN (${subquery(depth, all, 2, ctes)})`,
        () => `${some()} = (${subquery(depth, all, 1, ctes)} LIMIT 1)`,
        () => `${some()} ${pick(["= ANY", "= ALL"])} (${subquery(depth, all, 1, ctes)})`,
      );
    }
    return pick(choices)();
  }

  function fromItem(
    depth: number,
    outer: readonly Source[],
    beside: readonly Source[],
    free: string[],
    ctes: readonly Source[],
  ): [string, Source[]] {
    const alias = free.splice(below(free.length), 1)[0] ?? "z";
    const choice = random();
    if (depth > 0 && choice < 0.25) {
      const [left, leftSources] = fromItem(depth - 1, outer, beside, free, ctes);
      const [right, rightSources] = fromItem(depth - 1, outer, [...beside, ...leftSources], free, ctes);
      const sources = [...leftSources, ...rightSources];
      const kind = pick(["JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
      const shared =
        leftSources.length === 1 && rightSources.length === 1
          ? leftSources[0]?.columns.filter((name) => rightSources[0]?.columns.includes(name))
          : [];
      if (shared !== undefined && shared.length > 0 && chance(0.3)) {
        return [`(${left} ${kind} ${right} USING (${pick(shared)}))`, sources];
      }
      if (chance(0.05)) {
        return [`(${left} NATURAL ${kind} ${right})`, sources];
      }
      const on = chance(joined) ? joinOn(leftSources, rightSources) : condition(sources, outer, 1, ctes);
      return [`(${left} ${kind} ${right} ON ${on}${chance(0.3) ? ` AND ${condition(sources, outer, 0, ctes)}` : ""})`, sources];
    }
    if (depth > 0 && choice < 0.45) {
      const lateral = chance(0.4) && beside.length > 0;
      const query = select(depth - 1, lateral ? [...outer, ...beside] : outer, ctes, {});
      return [`${lateral ? "LATERAL " : ""}(${query.sql}) AS ${alias}`, [{ alias, columns: query.columns, keys: query.keys }]];
    }
    if (choice < 0.5) {
      return [`(VALUES (${key()}, 1), (${key()}, 2)) AS ${alias} (id, x)`, [{ alias, columns: ["id", "x"], keys: ["id"] }]];
    }
    if (choice < 0.6 && ctes.length > 0) {
      const cte = pick(ctes);
      return [`${cte.alias} AS ${alias}`, [{ ...cte, alias }]];
    }
    const table = pick(["users", "users", "posts", "posts", "accounts"]);
    const { columns = [], keys = [] } = tables[table] ?? {};
    if (chance(0.05)) {
      return [
        `${table} AS ${alias} (${columns.map((name) => `${name}1`).join(", ")})`,
        [{ alias, columns: columns.map((name) => `${name}1`), keys: [] }],
      ];
    }
    return [chance(0.2) ? `public.${table} ${alias}` : `${table} ${alias}`, [{ alias, columns, keys }]];
  }

  function joinOn(left: readonly Source[], right: readonly Source[]): string {
    return `${column(left, [], true)} = ${column(right, [], true)}`;
  }

  /** Of a width, when something around it needs one. */
  function select(depth: number, outer: readonly Source[], ctes: readonly Source[], wanted: { readonly width?: number }): Query {
    const free = [...aliases];
    const from: string[] = [];
    const sources: Source[] = [];
    for (let count = chance(0.4) ? 2 : 1; count > 0; count -= 1) {
      const [item, found] = fromItem(depth, outer, sources, free, ctes);
      from.push(item);
      sources.push(...found);
    }
    const conditions = chance(0.4) ? [condition(sources, outer, depth, ctes)] : ["true"];
    if (chance(named)) {
      conditions.push(`${column(sources, [], true)} = ${literal()}`);
    }
    if (sources.length > 1 && chance(joined)) {
      conditions.push(joinOn(sources.slice(0, 1), sources.slice(1)));
    }
    if (outer.length > 0 && chance(joined)) {
      conditions.push(`${column(sources, [], true)} = ${column(outer, [], true)}`);
    }
    const where = chance(0.9) ? ` WHERE ${conditions.join(" AND ")}` : "";
    const tail = ` FROM ${from.join(", ")}${where}`;
    const width = wanted.width ?? 1 + below(2);
    const picked = Array.from({ length: width }, () => {
      const source = pick(sources);
      return { source, name: pick(source.keys.length > 0 && chance(0.7) ? source.keys : source.columns) };
    });
    const names = picked.map(({ name }, index) => (picked.findIndex((other) => other.name === name) === index ? name : `${name}_${index}`));
    const keys = names.filter((_, index) => picked[index]?.source.keys.includes(picked[index].name));
    const targets = picked.map(({ source, name }, index) => `${source.alias}.${name} AS ${names[index]}`).join(", ");
    const plain = picked.map(({ source, name }) => `${source.alias}.${name}`).join(", ");
    const order = picked.map((_, index) => index + 1).join(", ");
    const choice = random();
    const columns = names;
    if (choice < 0.08) {
      return {
        sql: `SELECT ${names.map((name, index) => `${index === 0 ? "max" : "count"}(${plain.split(", ")[index]}) AS ${name}`).join(", ")}${tail}`,
        columns,
        keys,
      };
    }
    if (choice < 0.16) {
      return {
        sql: `SELECT ${targets}${tail} GROUP BY ${plain}${chance(0.3) ? ` HAVING ${plain.split(", ")[0]} = ${literal()}` : ""}`,
        columns,
        keys,
      };
    }
    if (choice < 0.2) {
      return { sql: `SELECT ${targets}${tail} GROUP BY ROLLUP (${plain})`, columns, keys };
    }
    if (choice < 0.26) {
      return { sql: `SELECT DISTINCT ${targets}${tail}`, columns, keys };
    }
    if (choice < 0.32) {
      return { sql: `(SELECT ${targets}${tail} ORDER BY ${order} LIMIT ${pick([0, 1, 2])})`, columns, keys };
    }
    if (choice < 0.36 && wanted.width === undefined) {
      return { sql: `SELECT ${targets}, rank() OVER (ORDER BY ${plain.split(", ")[0]}) AS r${tail}`, columns: [...columns, "r"], keys };
    }
    if (choice < 0.46 && depth > 0) {
      const other = select(depth - 1, outer, ctes, { width });
      return { sql: `(SELECT ${targets}${tail}) ${pick(["UNION", "UNION ALL", "EXCEPT", "INTERSECT"])} (${other.sql})`, columns, keys };
    }
    if (choice < 0.56 && wanted.width === undefined && sources.length === 1 && sources[0] !== undefined) {
      return { sql: `SELECT ${pick(["*", `${sources[0].alias}.*`])}${tail}`, columns: sources[0].columns, keys: sources[0].keys };
    }
    if (choice < 0.6 && depth > 0) {
      return {
        sql: `SELECT ${targets.replace(/^\S+/, `(${subquery(depth, [...outer, ...sources], 1, ctes)} LIMIT 1)`)}${tail}`,
        columns,
        keys: [],
      };
    }
    return { sql: `SELECT ${targets}${tail}`, columns, keys };
  }

  function withClause(depth: number): [string, Source[]] {
    if (!chance(0.25)) {
      return ["", []];
    }
    const query = select(depth, [], [], {});
    const name = pick(["k", "users", "w"]);
    return [`WITH ${name} AS (${query.sql}) `, [{ alias: name, columns: query.columns, keys: query.keys }]];
  }

  return {
    /** Its rows are to be compared without their order. */
    read(): string {
      const depth = pick([0, 1, 1, 2, 2]);
      const [clause, ctes] = withClause(depth);
      return `${clause}${select(depth, [], ctes, {}).sql}`;
    },

    /** Changes users or posts, in a way that does not depend on the order of rows. */
    write(): string {
      const depth = pick([0, 0, 1]);
      const [clause, ctes] = withClause(depth);
      const table = pick(["users", "posts"]);
      const { columns = [], keys = [] } = tables[table] ?? {};
      const target: Source = { alias: table, columns, keys };
      const keyName = keys[0] ?? "";
      const byKey = chance(0.7) ? ` AND ${table}.${keyName} = ${literal()}` : "";
      const choice = random();
      if (choice < 0.3) {
        const query = select(depth, [], ctes, { width: 2 });
        return `${clause}INSERT INTO ${table} (${keyName}, x) ${query.sql}`;
      }
      if (choice < 0.4) {
        return `${clause}INSERT INTO ${table} (x, ${keyName}) VALUES (7, ${literal()}), (8, ${pick([literal(), "NULL"])})`;
      }
      const [other, sources] = chance(0.5) ? fromItem(depth, [], [], [...aliases.slice(0, 8)], ctes) : ["", []];
      const where = `${condition([target, ...sources], [], depth, ctes)}${byKey}${sources.length > 0 && chance(0.7) ? ` AND ${joinOn([target], sources)}` : ""}`;
      if (choice < 0.7) {
        const set = chance(0.3) ? `${keyName} = ${pick([literal(), `${table}.${keyName}`])}` : "x = 99";
        return `${clause}UPDATE ${table} SET ${set}${other === "" ? "" : ` FROM ${other}`} WHERE ${where}`;
      }
      return `${clause}DELETE FROM ${table}${other === "" ? "" : ` USING ${other}`} WHERE ${where}`;
    },
  };
}
