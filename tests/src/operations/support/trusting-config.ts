// The configuration that most tests of operations begin with: users by trust, an administrator, one database.
import type { PoolerToml } from "../../harness/pooler.js";

type Table = Readonly<Record<string, unknown>>;

/** `url` is the primary of database "app"; what is in `more` wins, table by table. */
export function trustingConfig(url: string, more: Table = {}): PoolerToml {
  const table = (name: string): Table => (more[name] ?? {}) as Table;
  const databases = table("databases") as Readonly<Record<string, Table>>;
  const app = databases["app"] ?? {};
  return {
    ...more,
    listen: { auth: "trust", ...table("listen") },
    users: { app: {}, admin: { console: "admin" }, ...table("users") },
    databases: { ...databases, app: { ...("shards" in app ? {} : { url }), ...app } },
  };
}
