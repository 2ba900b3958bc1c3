// The supervisor as a process: signals in, exit code out.
import { PoolerError } from "../base/errors.js";
import { createLogger } from "../base/logger.js";
import { type Supervisor, type SupervisorOptions, startSupervisor } from "./supervisor.js";

/** The process, as far as it is needed. */
export interface SignalSource {
  on(signal: "SIGTERM" | "SIGINT" | "SIGHUP", listener: (signal: NodeJS.Signals) => void): unknown;
  off(signal: "SIGTERM" | "SIGINT" | "SIGHUP", listener: (signal: NodeJS.Signals) => void): unknown;
}

/**
 * Runs until it is stopped. SIGTERM, SIGINT: stop after the transactions under way, the second one at once.
 * SIGHUP: reload.
 * Exit code 0: stopped as it should; 1: it could not start, or a second signal cut transactions off.
 */
export async function runSupervisor(options: SupervisorOptions, signals: SignalSource = process): Promise<{ exitCode: number }> {
  const logger = options.logger ?? createLogger(options.config.log);
  let supervisor: Supervisor | null = null;
  let stops = 0;
  const abort = new AbortController();
  const stop = (signal: NodeJS.Signals): void => {
    stops += 1;
    logger.info({ event: "signal", signal }, `got ${signal}`);
    if (supervisor === null) abort.abort();
    else supervisor.stop(stops === 1 ? "drain" : "immediate");
  };
  let reloadWanted = false;
  const reload = (signal: NodeJS.Signals): void => {
    logger.info({ event: "signal", signal }, `got ${signal}`);
    reloadWanted = supervisor === null;
    supervisor?.reload().catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      logger.error({ event: "reload failed", error }, `the configuration was not reloaded, the old one stays in force: ${why}`);
    });
  };
  signals.on("SIGTERM", stop);
  signals.on("SIGINT", stop);
  signals.on("SIGHUP", reload);
  try {
    supervisor = await startSupervisor({ ...options, logger, abort: abort.signal });
    // A signal that came too late to give up the start.
    if (stops > 0) supervisor.stop(stops === 1 ? "drain" : "immediate");
    else if (reloadWanted) reload("SIGHUP");
    await supervisor.stopped;
    return { exitCode: stops > 1 ? 1 : 0 };
  } catch (error) {
    if (!(error instanceof PoolerError)) throw error;
    if (error.code === "SHUTTING_DOWN") return { exitCode: 0 };
    logger.error({ event: "start failed", error, ...(error.hint === undefined ? {} : { hint: error.hint }) }, error.message);
    return { exitCode: 1 };
  } finally {
    signals.off("SIGTERM", stop);
    signals.off("SIGINT", stop);
    signals.off("SIGHUP", reload);
  }
}
