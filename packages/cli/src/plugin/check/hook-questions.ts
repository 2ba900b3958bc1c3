// What the hooks beside pooler_route_query are asked during a check: what happens every day, and what a client or server may make
// happen that means no good.
import { constants, structs } from "@pooler/plugin-abi";
import { createAsker } from "./asker.js";
import type { CaseContext } from "./battery-types.js";
import { richText } from "./cases-damage.js";
import { type BuiltFrame, buildCreateInput } from "./frame-builder.js";
import {
  buildConnectInput,
  buildDisconnectInput,
  buildEndInput,
  buildRowInput,
  buildServerInput,
  type CellSpec,
  type ConnectSpec,
  type EndSpec,
  type ServerSpec,
} from "./hook-frames.js";
import type { SideHook } from "./judge-hook.js";
import { sessions, usualInput, usualSession } from "./questions.js";

export interface HookQuestion {
  readonly title: string;
  /** Of the row that is shown. */
  readonly columns?: number;
  /** The frames; a row is shown for each statement whose rows the plugin asked for. */
  frames(context: CaseContext, state: bigint): readonly ((growth: number) => BuiltFrame)[];
}

export const hookHeads: Readonly<Record<SideHook, number>> = {
  client_connect: structs.pooler_connect_input.size,
  client_disconnect: structs.pooler_disconnect_input.size,
  server_connect: structs.pooler_server_input.size,
  query_end: structs.pooler_end_input.size,
  result_row: structs.pooler_row_input.size,
  reload: structs.pooler_create_input.size,
};

const notUtf8 = Buffer.from([0xff, 0xfe, 0xc0, 0x80]);
const long = "x".repeat(100_000);
const allFlags = 0xffff_ffff;
const mostCount = 0xffff_ffff_ffff_ffffn;

const client: ConnectSpec = {
  session: usualSession,
  askedUser: "app",
  askedDatabase: "app",
  peerName: null,
  parameters: [
    ["user", "app"],
    ["database", "app"],
    ["application_name", "psql"],
    ["client_encoding", "UTF8"],
  ],
  flags: 0,
};

const clients: readonly { readonly title: string; readonly client: ConnectSpec }[] = [
  { title: "a client", client },
  { title: "a client with a certificate", client: { ...client, peerName: "CN with spaces" } },
  { title: "a client that other plugins made another", client: { ...client, askedUser: "old", askedDatabase: "moved" } },
  { title: "a client without parameters", client: { ...client, parameters: [] } },
  { title: "a client whose names are empty", client: { ...client, askedUser: "", askedDatabase: "", peerName: "" } },
  { title: "a client whose names are absent", client: { ...client, askedUser: null, askedDatabase: null } },
  {
    title: "a client whose names are not UTF-8",
    client: { ...client, askedUser: notUtf8, peerName: notUtf8, parameters: [["user", notUtf8]] },
  },
  {
    title: "a client with long names",
    client: {
      ...client,
      askedUser: long,
      parameters: [
        ["user", long],
        [long, "x"],
      ],
    },
  },
  {
    title: "a client that says everything twice",
    client: { ...client, parameters: [...client.parameters, ["user", "evil"], ["", ""], ["options", "-c role=evil'\"\\"]] },
  },
  {
    title: "a client with a thousand parameters",
    client: { ...client, parameters: Array.from({ length: 1000 }, (_, index) => [`name_${index}`, `value ${index}`] as const) },
  },
  { title: "a client with flags that nobody knows", client: { ...client, flags: allFlags } },
  ...sessions.map(({ title, session }) => ({ title, client: { ...client, session } })),
];

const server: ServerSpec = {
  flags: constants.POOLER_SERVER_TLS,
  id: 1n,
  shard: 0,
  role: constants.POOLER_ROLE_WRITE,
  database: "app",
  user: "app",
  address: "db0:5432",
  parameters: [
    ["server_version", "18.1"],
    ["TimeZone", "UTC"],
    ["in_hot_standby", "off"],
  ],
};

const servers: readonly { readonly title: string; readonly server: ServerSpec }[] = [
  { title: "a primary", server },
  { title: "a replica", server: { ...server, role: constants.POOLER_ROLE_READ, shard: 3, flags: 0 } },
  { title: "a server that reports nothing", server: { ...server, parameters: [] } },
  {
    title: "a server of an odd version",
    server: {
      ...server,
      parameters: [
        ["server_version", ""],
        ["server_version", "x.y'; DROP"],
      ],
    },
  },
  { title: "a server whose names are absent", server: { ...server, database: null, user: null, address: null } },
  { title: "a server whose names are not UTF-8", server: { ...server, database: notUtf8, user: notUtf8 } },
  { title: "a server with long names", server: { ...server, database: long, parameters: [["search_path", long]] } },
  { title: "the last shard there may be", server: { ...server, shard: 0xffff_fffd, role: 7, id: mostCount, flags: allFlags } },
];

type End = Omit<EndSpec, "statement" | "session" | "queryId">;
const end: End = {
  flags: 0,
  durationUs: 1234n,
  rows: 2n,
  role: constants.POOLER_ROLE_WRITE,
  shard: 0,
  address: "db0:5432",
  tag: "SELECT 2",
  sqlstate: null,
  message: null,
};
const failed: End = { ...end, flags: constants.POOLER_END_FAILED, rows: 0n, tag: null, sqlstate: "22012", message: "division by zero" };

const ends: readonly { readonly title: string; readonly end: End }[] = [
  { title: "ended well", end },
  { title: "failed", end: failed },
  {
    title: "was answered without a server",
    end: { ...end, flags: constants.POOLER_END_LOCAL, address: null, role: 0, shard: 0xffff_ffff },
  },
  {
    title: "was refused without a server",
    end: { ...failed, flags: constants.POOLER_END_FAILED | constants.POOLER_END_LOCAL, address: null },
  },
  { title: "was suspended", end: { ...end, flags: constants.POOLER_END_SUSPENDED, tag: null, rows: 10n } },
  { title: "was rewritten", end: { ...end, flags: constants.POOLER_END_REWRITTEN } },
  { title: "ended with an empty tag", end: { ...end, tag: "" } },
  { title: "failed with a message that is not UTF-8", end: { ...failed, message: notUtf8 } },
  { title: "failed with a long message", end: { ...failed, message: long } },
  { title: "failed without a message", end: { ...failed, message: null, sqlstate: null } },
  { title: "took as long as can be", end: { ...end, durationUs: mostCount, rows: mostCount } },
  { title: "ended with flags that nobody knows", end: { ...end, flags: allFlags, role: 9 } },
];

const text = (name: Buffer | string | null, value: Buffer | string | null): CellSpec => ({ name, typeOid: 25, format: 0, value });
const binary = (typeOid: number, hex: string): CellSpec => ({ name: "n", typeOid, format: 1, value: Buffer.from(hex, "hex") });

const rows: readonly { readonly title: string; readonly cells: readonly CellSpec[]; readonly row?: bigint }[] = [
  { title: "texts", cells: [text("id", "1"), text("name", "Ann"), text("email", "ann@example.com")] },
  { title: "binary values", cells: [binary(23, "0000002a"), binary(20, "7fffffffffffffff"), binary(25, "c3a9"), binary(16, "01")] },
  { title: "binary values of wrong sizes", cells: [binary(23, "00"), binary(20, ""), binary(1700, "0001"), binary(1007, "7fffffff")] },
  { title: "NULLs", cells: [text("id", null), text("name", null)] },
  { title: "empty values", cells: [text("id", ""), text("name", "")] },
  { title: "no columns", cells: [] },
  { title: "columns of one name", cells: [text("a", "1"), text("a", "2"), text("", "3")] },
  { title: "columns without names", cells: [text(null, "1"), text(notUtf8, "2")] },
  { title: "values that are not UTF-8", cells: [text("name", notUtf8), text("nul", Buffer.from([0]))] },
  {
    title: "types that nobody knows",
    cells: [
      { name: "v", typeOid: 0xffff_fffe, format: 0, value: "x" },
      { name: "w", typeOid: 0, format: 1, value: "x" },
    ],
  },
  { title: "1,600 columns", cells: Array.from({ length: 1600 }, (_, index) => text(`c${index}`, String(index))) },
  { title: "a value of 4 MiB", cells: [text("name", Buffer.alloc(4 << 20, 0x78)), text("id", "1")] },
  { title: "a late row", cells: [text("id", "1")], row: mostCount },
];

const configs: readonly { readonly title: string; readonly config: Buffer | string | null }[] = [
  { title: "no configuration at all", config: null },
  { title: "what is no JSON", config: '{"a": ' },
  { title: "a list", config: "[]" },
  { title: "an unknown key", config: '{"pooler_check_unknown_key": 1}' },
  { title: "bytes that are not UTF-8", config: Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]) },
  { title: "a configuration of 1 MiB", config: `{"pooler_check": "${"x".repeat(1 << 20)}"}` },
];

export function hookQuestions(hook: SideHook): readonly HookQuestion[] {
  switch (hook) {
    case "client_connect":
      return clients.map((each) => ({ title: each.title, frames: () => [(growth) => buildConnectInput(each.client, growth)] }));
    case "client_disconnect":
      return disconnections();
    case "server_connect":
      return servers.map((each) => ({ title: each.title, frames: () => [(growth) => buildServerInput(each.server, growth)] }));
    case "query_end":
      return endedStatements();
    case "result_row":
      return rows.map(({ title, cells, row = 0n }) => ({
        title: `a row with ${title}`,
        columns: cells.length,
        frames: (context, state) =>
          askedForRows(context, state).map(
            (asked) => (growth) => buildRowInput({ ...asked, flags: 0, row, session: usualSession, cells }, growth),
          ),
      }));
    case "reload":
      return configs.map(({ title, config }) => ({
        title,
        frames: ({ parser }) => [(growth) => buildCreateInput(config, parser.grammar, growth)],
      }));
  }
}

/** A frame for which the plugin need not be asked anything before. */
export function quietFrame(hook: SideHook, context: CaseContext): BuiltFrame {
  const statement = context.statement("SELECT 1");
  switch (hook) {
    case "client_connect":
      return buildConnectInput(client);
    case "client_disconnect":
      return buildDisconnectInput(usualSession, constants.POOLER_DISCONNECT_LOGGED_IN, 5_000_000n);
    case "server_connect":
      return buildServerInput(server);
    case "query_end":
      return buildEndInput({ ...end, queryId: 0, statement, session: usualSession });
    case "result_row": {
      const cells = rows[0]?.cells ?? [];
      return buildRowInput({ flags: 0, queryId: 1, statementId: statement.id, cookie: 0n, row: 0n, session: usualSession, cells });
    }
    case "reload":
      return buildCreateInput(context.config, context.parser.grammar);
  }
}

/** A plugin hears of the end of those whose beginning it has heard of. */
function disconnections(): readonly HookQuestion[] {
  const connected = ({ plugin }: CaseContext, state: bigint, spec: ConnectSpec): void => {
    if ((plugin.info.hooks & constants.POOLER_HOOK_CLIENT_CONNECT) === 0) return;
    plugin.hook("client_connect", state, buildConnectInput(spec).bytes, { wellFormed: true });
  };
  return clients.flatMap((each) =>
    [constants.POOLER_DISCONNECT_LOGGED_IN, 0].map((flags) => ({
      title: `${each.title}${flags === 0 ? " that never logged in" : ""}`,
      frames: (context: CaseContext, state: bigint) => {
        connected(context, state, each.client);
        return [(growth: number) => buildDisconnectInput(each.client.session, flags, 5_000_000n, growth)];
      },
    })),
  );
}

/** Of statements that the plugin was asked about, and of one that it was not. */
function endedStatements(): readonly HookQuestion[] {
  return ends.map((each) => ({
    title: `a statement that ${each.title}`,
    frames: (context, state) => {
      const statements = [richText, ...context.texts.slice(0, mostEnded)].map((sql) => context.statement(sql));
      const routes = (context.plugin.info.hooks & constants.POOLER_HOOK_ROUTE_QUERY) !== 0;
      const asker = createAsker(context, state);
      return statements.map((statement, index) => (growth) => {
        if (routes && index % 3 !== 0) asker.ask(usualInput(statement));
        const queryId = routes && index % 3 !== 0 ? 1 : 0;
        return buildEndInput({ ...each.end, queryId, statement, session: usualSession }, growth);
      });
    },
  }));
}

interface AskedForRows {
  readonly queryId: number;
  readonly statementId: number;
  readonly cookie: bigint;
}

const mostAsked = 2;
const mostEnded = 4;

/** Texts whose rows a plugin wants to see, once that is known: most want those of none, and asking takes long. */
const wanted = new WeakMap<CaseContext, readonly string[]>();

/** Once it was shown a row: whether it had asked for any. */
export function rowsAreWanted(context: CaseContext): boolean {
  return (wanted.get(context) ?? []).length > 0;
}

/** Statements whose rows the plugin wants to see; when it wants none, one that it did not ask about. */
function askedForRows(context: CaseContext, state: bigint): readonly AskedForRows[] {
  const known = wanted.get(context);
  const asker = createAsker(context, state);
  const routes = (context.plugin.info.hooks & constants.POOLER_HOOK_ROUTE_QUERY) !== 0;
  const texts: string[] = [];
  const found: AskedForRows[] = [];
  for (const sql of routes ? (known ?? context.texts) : []) {
    const input = usualInput(context.statement(sql));
    const { cookie } = asker.ask(input);
    if (cookie === undefined) continue;
    texts.push(sql);
    found.push({ queryId: input.queryId, statementId: input.statement.id, cookie });
    if (found.length === mostAsked) break;
  }
  if (known === undefined) {
    wanted.set(context, texts);
    if (found.length === 0) context.note("it asked for the rows of no statement: --statement names one whose rows it wants");
  }
  if (found.length > 0) return found;
  const statement = context.statement("SELECT 1");
  if (routes) asker.ask(usualInput(statement));
  return [{ queryId: 1, statementId: statement.id, cookie: 0n }];
}
