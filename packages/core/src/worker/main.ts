// Entry of a worker process: waits for its configuration, then works until the supervisor says otherwise.
import { PoolerError } from "../base/errors.js";
import { createLogger } from "../base/logger.js";
import { createWorkerLink } from "./link.js";
import { startWorker } from "./worker.js";

const link = createWorkerLink(process);

link.onBoot((boot) => {
  const log = createLogger({ level: boot.config.log.level, format: boot.config.log.format, base: { worker: boot.worker } });
  startWorker(boot, link, log, (code) => process.exit(code)).catch((error: unknown) => {
    const expected = error instanceof PoolerError;
    link.send({
      kind: "failed",
      message: expected ? error.message : `the worker could not start: ${error instanceof Error ? error.stack : String(error)}`,
      hint: expected ? (error.hint ?? null) : null,
    });
    // The message must be out before the channel goes.
    setImmediate(() => process.exit(1));
  });
});
