// Much data at once, by a client of our own: psql spends more on reading lines than a pooler does on passing them on. One client, one
// transfer a measurement; PostgreSQL is given as little to do as possible (rows that a trigger drops, rows made from one).
import { query } from "@pooler/embedded-cluster";
import { plainSetup, type RunningPeer } from "../peers/peer.js";
import { cpuUs, processTree, residentKb } from "../process-usage.js";
import { createConnectionSet } from "../wire/connection-set.js";
import { copyDataMessage, copyDoneMessage, queryMessage } from "../wire/frontend-messages.js";
import type { RawConnection } from "../wire/raw-connection.js";
import type { Effort, Sample, Scenario, Tools } from "./scenario.js";

const megabyte = 2 ** 20;
const rowBytes = 8192;
const rowsPerMessage = 8;
const warmUpBytes = 32 * megabyte;

/** Takes rows of any size and keeps none. */
const sinkSql = `CREATE TABLE IF NOT EXISTS bench_sink (data bytea);
CREATE OR REPLACE FUNCTION bench_drop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE OR REPLACE TRIGGER bench_drop BEFORE INSERT ON bench_sink FOR EACH ROW EXECUTE FUNCTION bench_drop();`;

export async function createTransferTables(serverUrl: string): Promise<void> {
  await query(serverUrl, sinkSql);
}

interface Transfer {
  readonly name: string;
  readonly title: string;
  readonly bytes: number;
  run(connection: RawConnection, rows: number): Promise<void>;
}

const transfers: readonly Transfer[] = [
  { name: "copy-in", title: "COPY FROM STDIN, 1 GB", bytes: 1024 * megabyte, run: copyIn },
  {
    name: "copy-out",
    title: "COPY TO STDOUT, 1 GB",
    bytes: 1024 * megabyte,
    run: (connection, rows) => connection.request(queryMessage(`COPY (${manyRows(rows)}) TO STDOUT (FORMAT binary)`)),
  },
  {
    name: "large-result",
    title: "a result of 100 MB",
    bytes: 100 * megabyte,
    run: (connection, rows) => connection.request(queryMessage(manyRows(rows))),
  },
];

export function createTransferScenarios(): readonly Scenario[] {
  return transfers.map((transfer) => ({
    name: transfer.name,
    title: transfer.title,
    protocols: ["simple"],
    clients: [1],
    hasFreeClients: false,
    sizes: [],
    setup: () => plainSetup,
    takes: ({ kind, workers, name }) => kind !== "pooler" || (workers === 1 && !name.endsWith("-plugins")),
    measure: (running, _at, effort, tools) => measureTransfer(transfer, running, effort, tools),
  }));
}

async function measureTransfer(transfer: Transfer, running: RunningPeer, effort: Effort, { signal }: Tools): Promise<Sample> {
  const set = createConnectionSet(signal);
  try {
    const connection = await set.open(running.target);
    const rows = Math.ceil((effort.isWarmUp ? warmUpBytes : transfer.bytes) / rowBytes);
    const processes = running.pid === undefined ? [] : processTree(running.pid);
    const beforeUs = cpuUs(processes);
    const startedMs = performance.now();
    await transfer.run(connection, rows);
    const tookMs = performance.now() - startedMs;
    const usedUs = cpuUs(processes) - beforeUs;
    const isPooler = running.pid !== undefined;
    return {
      tps: 1000 / tookMs,
      cpuUsPerQuery: isPooler ? usedUs : null,
      p50Ms: tookMs,
      p99Ms: null,
      p999Ms: null,
      rssKb: isPooler ? residentKb(processes) : null,
    };
  } finally {
    set.close();
  }
}

/** The row is made once: what the pooler passes on is nearly all that is done. */
function manyRows(rows: number): string {
  return `SELECT data FROM (SELECT repeat('x', ${rowBytes}) AS data OFFSET 0) AS one, generate_series(1, ${rows})`;
}

const copyHeader = Buffer.concat([Buffer.from("PGCOPY\n\xff\r\n\0", "latin1"), Buffer.alloc(8)]);
const copyTrailer = Buffer.from([0xff, 0xff]);

function copyIn(connection: RawConnection, rows: number): Promise<void> {
  const row = Buffer.alloc(6 + rowBytes, "x");
  row.writeInt16BE(1, 0);
  row.writeInt32BE(rowBytes, 2);
  const message = copyDataMessage(Buffer.concat(Array.from({ length: rowsPerMessage }, () => row)));
  const header = copyDataMessage(copyHeader);
  let left = Math.ceil(rows / rowsPerMessage);
  let isBegun = false;
  const next = (): Buffer | undefined => {
    if (!isBegun) {
      isBegun = true;
      return header;
    }
    left -= 1;
    return left >= 0 ? message : undefined;
  };
  const last = Buffer.concat([copyDataMessage(copyTrailer), copyDoneMessage]);
  return connection.copyIn(queryMessage("COPY bench_sink FROM STDIN (FORMAT binary)"), next, last);
}
