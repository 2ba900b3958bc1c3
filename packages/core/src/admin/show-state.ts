// SHOW STATE, SHOW VERSION, SHOW WORKERS: the pooler itself.
import type { PoolerView } from "../metrics/pooler-view.js";
import type { WorkerSnapshot } from "../supervisor/ipc.js";
import { formatTime, int4, int8, showCommand, text } from "./console-command.js";

export const showState = showCommand<readonly [string, string]>({
  name: "SHOW STATE",
  summary: "Whether the pooler is active or paused.",
  rows: (view) => [
    ["active", view.paused.has(null) ? "no" : "yes"],
    ["paused", view.paused.has(null) ? "yes" : "no"],
    ["suspended", "no"],
    ["paused_databases", [...view.paused].filter((name) => name !== null).join(",")],
    ["started", formatTime(view.startedAtMs)],
  ],
  columns: [text("key", ([key]) => key), text("value", ([, value]) => value)],
});

export const showVersion = showCommand<string>({
  name: "SHOW VERSION",
  summary: "The pooler's version.",
  rows: (view) => [`Pooler ${view.version}`],
  columns: [text("version", (version) => version)],
});

interface WorkerRow {
  readonly status: PoolerView["workers"][number];
  readonly snapshot: WorkerSnapshot | null;
}

export const showWorkers = showCommand<WorkerRow>({
  name: "SHOW WORKERS",
  summary: "Worker processes.",
  rows: (view) =>
    view.workers.map((status) => ({ status, snapshot: view.snapshots.find(({ worker }) => worker === status.worker) ?? null })),
  columns: [
    int4("worker", ({ status }) => status.worker),
    text("state", ({ status }) => status.state),
    int4("pid", ({ status }) => status.processId),
    text("started", ({ snapshot }) => (snapshot === null ? null : formatTime(snapshot.startedAtMs))),
    int4("clients", ({ snapshot }) => snapshot?.clientCounts.reduce((total, { count }) => total + count, 0) ?? null),
    int4("servers", ({ snapshot }) =>
      snapshot === null
        ? null
        : snapshot.pools.reduce(
            (total, pool) => total + pool.serversActive + pool.serversIdle + pool.serversConnecting + pool.serversResetting,
            0,
          ),
    ),
    int8("memory_bytes", ({ snapshot }) => snapshot?.memoryBytes ?? null),
    text("io", ({ snapshot }) => snapshot?.io ?? null),
  ],
});
