// The command line of npm start.
import { parseArgs } from "node:util";
import { supportedVersions } from "@pooler/embedded-cluster";

export interface DemoOptions {
  /** undefined: 6432, or another one when that is taken. */
  readonly port: number | undefined;
  readonly pgVersion: string;
  readonly replicas: boolean;
  readonly json: boolean;
  readonly help: boolean;
}

export class UsageError extends Error {}

export const usage = `npm start -- [options]

  --port <number>         where the pooler listens (6432)
  --pg-version <version>  ${supportedVersions.join(", ")} (18)
  --no-replicas           primaries only
  --json                  print one line with all URLs to standard output when ready; use npm start --silent
  --help                  this text

Ctrl-C stops everything and leaves nothing behind.
`;

export function parseOptions(args: readonly string[]): DemoOptions {
  const { values } = parse(args);
  const pgVersion = values["pg-version"] ?? "18";
  if (!/^\d+(\.\d+\.\d+(-[\w.]+)?)?$/.test(pgVersion) || !supportedVersions.includes(pgVersion.split(".")[0] ?? "")) {
    throw new UsageError(`--pg-version ${pgVersion}: the versions are ${supportedVersions.join(", ")}.`);
  }
  return {
    port: values.port === undefined ? undefined : parsePort(values.port),
    pgVersion,
    replicas: values["no-replicas"] !== true,
    json: values.json === true,
    help: values.help === true,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        port: { type: "string" },
        "pg-version": { type: "string" },
        "no-replicas": { type: "boolean" },
        json: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) {
    throw new UsageError(`--port ${text}: a port is a number from 1 to 65535.`);
  }
  return port;
}
