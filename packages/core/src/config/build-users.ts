// [users.NAME] of the file → who may log in, and whether they can. Looks at databases only to see that they exist and
// with which password the pooler would log in there.
import { checkName, consoleDatabase, describeHost, hostsOf } from "./build-databases.js";
import type { KeyPath } from "./positions.js";
import { type Problems, showValue } from "./problems.js";
import type { FileUser } from "./schema.js";
import type { References } from "./secrets.js";
import { closest } from "./suggest.js";
import type { AuthMethod, DatabaseConfig, UserConfig } from "./types.js";

export interface UserContext {
  readonly auth: AuthMethod;
  readonly databases: readonly DatabaseConfig[];
  /** Also those that have errors of their own. */
  readonly databaseNames: readonly string[];
  readonly references: References;
  readonly problems: Problems;
}

export function buildUsers(users: ReadonlyMap<string, FileUser>, context: UserContext): UserConfig[] {
  const { auth, problems } = context;
  if (users.size === 0 && auth !== "trust" && !problems.touches(["users"])) {
    problems.warn(["users"], `there is no user, so nobody can log in; add [users.NAME] with password = "env:NAME"`);
  }
  return [...users].map(([name, user]) => buildUser(name, user, context));
}

function buildUser(name: string, user: FileUser, context: UserContext): UserConfig {
  const { auth, references, problems } = context;
  const path = ["users", name];
  checkName(path, name, "user", problems);
  const secretAt = (key: "password" | "verifier" | "server_password"): string | null => {
    const value = user[key];
    return value === undefined ? null : references.text([...path, key], value);
  };
  const built: UserConfig = {
    name,
    password: secretAt("password"),
    verifier: secretAt("verifier"),
    serverPassword: secretAt("server_password"),
    serverUser: user.server_user ?? null,
    console: user.console,
    databases: user.databases ?? null,
  };

  if (user.password !== undefined && user.verifier !== undefined) {
    problems.key([...path, "verifier"], "password and verifier exclude each other; to give servers another password use server_password");
  }
  if (user.password === undefined && user.verifier === undefined && auth !== "trust" && !problems.touches(path)) {
    problems.warn(path, `has neither password nor verifier and cannot log in with listen.auth = ${JSON.stringify(auth)}`);
  }
  if (built.verifier !== null) checkVerifier([...path, "verifier"], built.verifier, auth, problems);
  for (const [index, database] of (user.databases ?? []).entries()) checkDatabase([...path, "databases", index], database, user, context);
  warnWithoutServerPassword(path, built, context);
  return built;
}

type VerifierKind = "scram-sha-256" | "md5";

const verifierForms: Readonly<Record<VerifierKind, RegExp>> = {
  "scram-sha-256": /^SCRAM-SHA-256\$[1-9]\d{0,8}:[A-Za-z\d+/]+={0,2}\$[A-Za-z\d+/]{43}=:[A-Za-z\d+/]{43}=$/,
  md5: /^md5[\da-f]{32}$/,
};

function checkVerifier(path: KeyPath, verifier: string, auth: AuthMethod, problems: Problems): void {
  const kind = verifierForms["scram-sha-256"].test(verifier) ? "scram-sha-256" : verifierForms.md5.test(verifier) ? "md5" : null;
  if (kind === null) {
    problems.value(
      path,
      "is not a verifier; expected SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key> or md5 and 32 hexadecimal digits, as in pg_authid.rolpassword",
    );
  } else if (auth === "scram-sha-256" && kind === "md5") {
    // The other way round works: clients of a SCRAM verifier are asked for SCRAM.
    problems.value(path, `is made for md5, and listen.auth is ${JSON.stringify(auth)}: this user could never log in`);
  }
}

function checkDatabase(path: KeyPath, database: string, user: FileUser, { databaseNames, problems }: UserContext): void {
  if (databaseNames.includes(database)) return;
  if (database === consoleDatabase) {
    if (user.console === "none")
      problems.value(path, `"${consoleDatabase}" is the console; console = "stats" or "admin" lets this user in`);
    return;
  }
  const near = closest(database, databaseNames);
  const rest = near === null ? `there are: ${databaseNames.join(", ")}` : `did you mean ${JSON.stringify(near)}?`;
  problems.value(path, `there is no database ${showValue(path, database)}; ${rest}`);
}

/** A verifier proves who a client is; at a server it opens only where the very same one is stored. */
function warnWithoutServerPassword(path: KeyPath, user: UserConfig, { databases, problems }: UserContext): void {
  if (user.verifier === null || user.password !== null || user.serverPassword !== null) return;
  const allowed = databases.filter(({ name }) => user.databases === null || user.databases.includes(name));
  const needy = allowed.flatMap(({ shards }) => hostsOf(shards)).find((host) => host.password === null);
  if (needy === undefined) return;
  const where = verifierForms["scram-sha-256"].test(user.verifier) ? " and do not store the very same one" : "";
  problems.warn(
    path,
    `has only a verifier, with which the pooler cannot log in at servers that want a password${where} (${describeHost(needy)}); set server_password, or user and password in the servers' URLs`,
  );
}
