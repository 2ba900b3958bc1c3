// Whether somebody wants the demo to end: Ctrl-C, a signal, or npm itself is gone and nobody is left who would send one.

export interface Interruption {
  readonly promise: Promise<void>;
  happened(): boolean;
  forget(): void;
}

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const orphanCheckMs = 500;

/** npm passes a terminal's Ctrl-C on to a process that has had it from the terminal already: that is no second wish. */
const echoLimitMs = 1000;

export function untilInterrupted(): Interruption {
  let happenedAtMs: number | undefined;
  let resolve = (): void => {};
  const promise = new Promise<void>((resolvePromise) => {
    resolve = resolvePromise;
  });
  const interrupt = (): void => {
    if (happenedAtMs === undefined) {
      happenedAtMs = performance.now();
      resolve();
    } else if (performance.now() - happenedAtMs > echoLimitMs) {
      // Asked twice: leave now. The reaper still ends the servers and deletes the files.
      process.exit(130);
    }
  };
  for (const name of signals) {
    process.on(name, interrupt);
  }
  const stopWatching = watchParent(() => {
    happenedAtMs ??= performance.now();
    resolve();
  });
  return {
    promise,
    happened: () => happenedAtMs !== undefined,
    forget() {
      stopWatching();
      for (const name of signals) {
        process.off(name, interrupt);
      }
    },
  };
}

/** Only below npm, which waits for its script as long as it lives. A shell may well go away and leave us running on purpose. */
function watchParent(onOrphaned: () => void): () => void {
  if (process.env["npm_lifecycle_event"] === undefined) {
    return () => {};
  }
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid !== parent) {
      clearInterval(timer);
      onOrphaned();
    }
  }, orphanCheckMs);
  timer.unref();
  return () => clearInterval(timer);
}
