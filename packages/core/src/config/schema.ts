// The one schema of the configuration file: what is allowed, defaults, what it is for, whether a reload changes it.
// Validation, docs/configuration.md, docs/pooler.schema.json and SHOW CONFIG come from it. It looks at no file and no
// environment: what depends on those is checked by build-*.ts.
import { z } from "zod";
import { longestTimerMs } from "../base/clock.js";
import { durationPattern, parseDurationMs, parseSizeBytes, sizePattern } from "./units.js";

/** Rides on a schema's metadata beside its description. */
export interface FieldNotes {
  readonly description: string;
  /** A reload (SIGHUP, RELOAD) changes it; false: needs a restart. */
  readonly changeable: boolean;
  /** What may stand there, when the schema's own form does not say it well. */
  readonly allowed?: string;
  /** The default in words, when it is not a fixed value. */
  readonly defaultText?: string;
}

const field = <Schema extends z.ZodType>(schema: Schema, notes: FieldNotes): Schema => schema.meta({ ...notes });

const secretForms = "the text itself, env:NAME (environment variable) or file:PATH (relative to this file)";
const urlForm = "postgres://user:password@host:port/database, env:NAME or file:PATH";

function duration(standard: string | number, description: string) {
  const schema = z
    .union([z.int().min(0).max(longestTimerMs), z.string().regex(durationPattern)])
    .transform((value) => (typeof value === "number" ? value : parseDurationMs(value)))
    .refine((ms) => ms <= longestTimerMs, { error: "is longer than 24 days" })
    .prefault(standard);
  return field(schema, { description, changeable: true, allowed: 'a duration such as "250ms", "5s", "2m", "1h", or whole milliseconds' });
}

function size(standard: string, minBytes: number, maxBytes: number, description: string) {
  const schema = z
    .union([z.int().min(minBytes).max(maxBytes), z.string().regex(sizePattern)])
    .transform((value) => (typeof value === "number" ? value : parseSizeBytes(value)))
    .refine((bytes) => bytes >= minBytes && bytes <= maxBytes, { error: `must be from ${minBytes} to ${maxBytes} bytes` })
    .prefault(standard);
  return field(schema, { description, changeable: true, allowed: 'a size such as "64MB", "512kB", or whole bytes' });
}

const whole = (min: number, max: number, standard: number, description: string, changeable = true) =>
  field(z.int().min(min).max(max).default(standard), { description, changeable });

const secret = (description: string) => field(z.string().min(1).optional(), { description, changeable: true, allowed: secretForms });

const listen = z
  .strictObject({
    host: field(z.string().min(1).default("127.0.0.1"), {
      description: "Address to listen on, or the directory of a Unix-domain socket.",
      changeable: false,
      allowed: 'an address such as "127.0.0.1", "0.0.0.0", "::1", or an absolute directory',
    }),
    port: whole(0, 65_535, 6_432, "Port to listen on; 0 lets the system choose.", false),
    backlog: whole(1, 65_535, 4_096, "Connections that may wait to be accepted; the system may allow fewer (net.core.somaxconn).", false),
    auth: field(z.enum(["scram-sha-256", "md5", "trust"]).default("scram-sha-256"), {
      description:
        "How clients prove who they are. `trust` asks for nothing and is allowed on loopback addresses and Unix-domain sockets only.",
      changeable: false,
    }),
    tls: z
      .strictObject({
        mode: field(z.enum(["disable", "prefer", "require", "verify-full"]).default("disable"), {
          description:
            "`prefer` takes clients with and without TLS, `require` only those with it, `verify-full` only those that also show a certificate signed by `ca` whose common name is the user.",
          changeable: false,
        }),
        cert: field(z.string().min(1).optional(), {
          description: "Certificate (chain) that is shown to clients.",
          changeable: false,
          allowed: "path of a PEM file, relative to this file",
        }),
        key: field(z.string().min(1).optional(), {
          description: "Private key of the certificate.",
          changeable: false,
          allowed: "path of a PEM file, relative to this file",
        }),
        ca: field(z.string().min(1).optional(), {
          description: "Authorities that sign clients' certificates; needed by `verify-full`.",
          changeable: false,
          allowed: "path of a PEM file, relative to this file",
        }),
      })
      .prefault({})
      .meta({ description: "TLS towards clients." }),
  })
  .prefault({})
  .meta({ description: "Where clients connect." });

const log = z
  .strictObject({
    level: field(z.enum(["trace", "debug", "info", "warn", "error"]).default("info"), {
      description: "The least important lines that are written.",
      changeable: true,
    }),
    format: field(z.enum(["json", "pretty"]).optional(), {
      description: "One JSON object a line, or lines for people.",
      changeable: false,
      defaultText: "pretty on a terminal, else json",
    }),
  })
  .prefault({})
  .meta({ description: "Log lines go to standard error." });

const metrics = z
  .strictObject({
    host: field(z.string().min(1).default("127.0.0.1"), { description: "Address of the HTTP server.", changeable: false }),
    port: whole(0, 65_535, 9_930, "Its port; 0 lets the system choose.", false),
  })
  .optional()
  .meta({ description: "OpenMetrics over HTTP at `/metrics`. Off when the table is absent; an empty `[metrics]` turns it on." });

const limits = z
  .strictObject({
    max_clients: whole(1, 1_000_000, 1_000, "Clients that may be connected, of all workers together."),
    max_message_bytes: size(
      "64MB",
      16_384,
      1_073_741_823,
      "Largest message of a client that is taken into memory. Rows and COPY data are streamed and do not count.",
    ),
    max_buffered_bytes: size(
      "256MB",
      1_048_576,
      1_099_511_627_776,
      "Memory of each worker for large messages of clients that wait. A client that sends another one is not read until there is room; after `timeouts.query_wait` it is refused.",
    ),
    max_client_statements: whole(1, 1_000_000, 5_000, "Prepared statements that one client may hold."),
    max_server_statements: whole(
      1,
      1_000_000,
      200,
      "Prepared statements that are kept on one server connection (least recently used go first).",
    ),
    max_cached_statements: whole(1, 1_000_000, 10_000, "Distinct statement texts that a worker remembers what it found out about."),
  })
  .prefault({})
  .meta({ description: "What clients may use up." });

const timeouts = z
  .strictObject({
    client_login: duration("60s", "A client must have logged in by then."),
    server_connect: duration("15s", "A server must have been connected and logged in to by then."),
    query_wait: duration("120s", "How long a client waits for a server connection before its statement fails."),
    client_idle_in_transaction: duration(0, "How long a client may leave a transaction open without a statement running."),
    server_idle: duration("10m", "A server connection that nobody used for so long is closed."),
    server_lifetime: duration("1h", "A server connection older than this is closed once it is idle."),
    host_retry: duration("5s", "How long a server that is down is left alone before it is tried again."),
    drain: duration("30s", "How long clients may finish their transactions when the pooler stops."),
    retire: duration(0, "How long clients of a worker that a reload has replaced may stay connected before it is drained."),
    plugin_call: duration(
      "5s",
      "A worker whose plugin has not returned from a call by then is killed and replaced: nothing else can end an endless loop. One in which all calls of a plugin that may wait have been beyond their deadline for so long is drained and replaced.",
    ),
  })
  .prefault({})
  .meta({ description: "All are durations; 0 means no limit." });

const serverUrl = (description: string) => field(z.string().min(1), { description, changeable: true, allowed: urlForm });
const serverUser = field(z.string().min(1).optional(), {
  description: "User at the servers whose URL names none.",
  changeable: true,
  defaultText: "the client's user",
});
const serverPassword = secret("Password at the servers whose URL has none.");

const shard = z.union([
  serverUrl("The shard's primary."),
  z.strictObject({
    primary: serverUrl("The server that takes writes."),
    replicas: field(z.array(serverUrl("A replica.")).default([]), { description: "Servers that may take reads.", changeable: true }),
    user: serverUser,
    password: serverPassword,
  }),
]);

export const databaseSchema = z.strictObject({
  pool_mode: field(z.enum(["transaction", "session"]).default("transaction"), {
    description: "Whether a server connection is lent for a transaction or for as long as the client stays.",
    changeable: true,
  }),
  pool_size: whole(1, 100_000, 20, "Server connections per user and server, of all workers together."),
  max_waiting: whole(
    0,
    1_000_000,
    0,
    "Clients that may wait for these connections, of all workers together; who comes later is refused at once. 0: as many as can be served within `timeouts.query_wait`.",
  ),
  on_session_state: field(z.enum(["error", "pin"]).default("error"), {
    description:
      "A statement that leaves state in the session (temporary table, LISTEN, advisory lock …) is refused, or pins the server connection to the client until it leaves.",
    changeable: true,
  }),
  on_unrouted: field(z.enum(["first", "error"]).default("first"), {
    description: "When no plugin decided the shard and there are several: the first shard, or an error.",
    changeable: true,
  }),
  multiplex: whole(
    0,
    1_000,
    0,
    "Statements that may be in flight on one server connection at a time; 0: each has one for itself. Only statements that are certain to begin and end in themselves share, and only in transaction mode.",
  ),
  multiplex_functions: field(z.array(z.string().min(1)).default([]), {
    description:
      "Functions, types and operators beside PostgreSQL's own that neither change the session nor take locks: statements with others do not share.",
    changeable: true,
    allowed: 'a list of names such as "distance" or "geo.distance"',
  }),
  multiplex_never: field(z.array(z.string().min(1)).default([]), {
    description: "Functions, tables and columns whose statements do not share.",
    changeable: true,
    allowed: 'a list of names such as "jobs" or "app.jobs"',
  }),
  multiplex_writes: field(z.boolean().default(false), {
    description: "INSERT, UPDATE, DELETE and MERGE share, too: one that waits for a lock holds up those behind it.",
    changeable: true,
  }),
  multiplex_relations: field(z.enum(["plain", "any"]).default("plain"), {
    description:
      "`plain`: only statements share whose tables have no row security (and for writes no rules and triggers) as the server's catalog says, and no views; `any`: all do.",
    changeable: true,
  }),
  multiplex_slow: duration(
    "50ms",
    "Kinds of statements of which more than a tenth take longer neither wait behind others nor hold them up.",
  ),
  multiplex_retry_reads: field(z.boolean().default(true), {
    description: "Reads that share a connection that breaks, and of which no byte was answered, are sent again once.",
    changeable: true,
  }),
  multiplex_prepare: field(z.boolean().default(false), {
    description:
      "Texts that share servers and come again are prepared there, though the client does not prepare them, the values that simple queries compare with as parameters: PostgreSQL neither parses nor plans them each time.",
    changeable: true,
  }),
  url: serverUrl("The primary of a database that is not sharded; the short form of `shards`.").optional(),
  replicas: field(z.array(serverUrl("A replica.")).optional(), { description: "Replicas beside `url`.", changeable: true }),
  shards: field(z.array(shard).min(1).optional(), {
    description: "One entry a shard, in order: the primary's URL, or a table with `primary`, `replicas`, `user` and `password`.",
    changeable: true,
  }),
  user: serverUser,
  password: serverPassword,
});

export const userSchema = z.strictObject({
  password: secret("What the client must know."),
  verifier: field(z.string().min(1).optional(), {
    description: "Instead of `password`: what PostgreSQL keeps in pg_authid.rolpassword, so that the secret itself stands nowhere.",
    changeable: true,
    allowed: "SCRAM-SHA-256$…:…$…:… or md5 and 32 hexadecimal digits; also by env:NAME or file:PATH",
  }),
  server_user: field(z.string().min(1).optional(), {
    description: "Name of this user at servers, when neither URL nor database name one.",
    changeable: true,
    defaultText: "the user's own name",
  }),
  server_password: secret("Password of this user at servers, when neither URL nor database have one. Falls back to `password`."),
  console: field(z.enum(["none", "stats", "admin"]).default("none"), {
    description: "May connect to the console database `pooler`: `stats` for SHOW, `admin` for every command.",
    changeable: true,
  }),
  databases: field(z.array(z.string()).optional(), {
    description: "Databases that the user may connect to.",
    changeable: true,
    defaultText: "all",
  }),
});

export const pluginSchema = z.strictObject({
  name: field(z.string().min(1), {
    description: "Package of the plugin, or path of a shared library.",
    changeable: true,
    allowed: 'a package name such as "@pooler/plugin-read-write-split", or a path that begins with "./", "../" or "/"',
  }),
  on_error: field(z.enum(["fail", "skip"]).default("fail"), {
    description:
      "When the plugin itself fails at a statement, its deadline and its being busy included: the statement fails, or the next plugin is asked. At a client, a server or a row it always fails.",
    changeable: true,
  }),
  on_crash: field(z.enum(["restart", "disable", "refuse"]).default("restart"), {
    description:
      "When the plugin has ended its worker `crash_limit` times within `crash_window`, by a crash or by not returning: go on with new workers, leave the plugin out (what it guards is open then), or refuse clients with an error that names it. Until the next reload or start.",
    changeable: true,
  }),
  crash_limit: whole(1, 1_000, 3, "So many crashes are too many."),
  crash_window: duration("60s", "Crashes that lie further back do not count; 0: all do."),
  max_concurrent: field(z.int().min(1).max(200).optional(), {
    description:
      "Of a plugin that may wait (the capability `blocking`): calls at a time in each worker. What comes while so many run is refused at once. A change brings new workers.",
    changeable: true,
    defaultText: "4",
  }),
  deadline: field(
    z
      .union([z.int().min(1).max(longestTimerMs), z.string().regex(durationPattern)])
      .transform((value) => (typeof value === "number" ? value : parseDurationMs(value)))
      .refine((ms) => ms >= 1 && ms <= longestTimerMs, { error: "must be from 1 ms to 24 days" })
      .optional(),
    {
      description:
        "Of a plugin that may wait: whoever asks it gets an error after so long. The call goes on, and keeps its place among `max_concurrent` until it returns.",
      changeable: true,
      allowed: 'a duration such as "250ms", "5s", "2m", "1h", or whole milliseconds',
      defaultText: '`"2s"`',
    },
  ),
  config: field(z.record(z.string(), z.unknown()).default({}), {
    description:
      "The plugin's own settings, checked against the schema that it brings. A plugin with the hook reload takes others in place.",
    changeable: true,
  }),
});

export const fileSchema = z.strictObject({
  workers: field(z.union([z.int().min(1).max(256), z.literal("auto")]).default(1), {
    description: "Worker processes; `auto`: one for each core.",
    changeable: false,
    allowed: 'a whole number from 1 to 256, or "auto"',
  }),
  io: field(z.enum(["auto", "streams", "sockets"]).default("auto"), {
    description:
      "How connections are read and written: `sockets`, by system calls (Linux alone), or `streams`, by Node's own; `auto` takes sockets where they work.",
    changeable: false,
  }),
  listen,
  log,
  metrics,
  limits,
  timeouts,
  databases: z
    .record(z.string(), databaseSchema)
    .default({})
    .meta({ description: "The databases that clients may ask for, by name. At least one; `pooler` is taken by the console." }),
  users: z.record(z.string(), userSchema).default({}).meta({ description: "Who may log in, by name." }),
  plugins: z.array(pluginSchema).default([]).meta({
    description:
      "The chain: plugins are asked in the order of the file. A reload that finds another chain, another version of a plugin or other settings replaces the workers one by one; clients that are there stay with the old ones. Only the first plugin of a pooler with one worker needs a restart.",
  }),
});

export type FileConfig = z.output<typeof fileSchema>;
export type FileDatabase = z.output<typeof databaseSchema>;
export type FileUser = z.output<typeof userSchema>;
export type FilePlugin = z.output<typeof pluginSchema>;
