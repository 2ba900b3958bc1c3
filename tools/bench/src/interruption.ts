// Whether somebody wants the benchmark to end: Ctrl-C or a signal. The first one asks for an orderly end, the second leaves at once.
import { BenchError } from "./bench-error.js";

export interface Interruption {
  readonly signal: AbortSignal;
  /** Throws when it has happened. */
  check(): void;
  forget(): void;
}

const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** pnpm passes a terminal's Ctrl-C on to a process that has had it from the terminal already: that is no second wish. */
const echoLimitMs = 1000;

export class InterruptedError extends BenchError {}

export function watchInterruption(): Interruption {
  const controller = new AbortController();
  let happenedAtMs = 0;
  const interrupt = (): void => {
    if (!controller.signal.aborted) {
      happenedAtMs = performance.now();
      controller.abort(new InterruptedError("Interrupted."));
    } else if (performance.now() - happenedAtMs > echoLimitMs) {
      // The reaper of the run directory still ends every process and deletes the files.
      process.exit(130);
    }
  };
  for (const name of names) process.on(name, interrupt);
  return {
    signal: controller.signal,
    check: () => controller.signal.throwIfAborted(),
    forget() {
      for (const name of names) process.off(name, interrupt);
    },
  };
}
