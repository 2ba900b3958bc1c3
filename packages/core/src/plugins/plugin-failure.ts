// How a plugin can fail, and what whoever asked it is told then. Knows nothing of what it was asked.
import { type ErrorCode, PoolerError } from "../base/errors.js";

export type FailureCode = Extract<ErrorCode, "PLUGIN_FAILED" | "PLUGIN_TIMEOUT" | "PLUGIN_BUSY">;

/** For whoever asked. `why` is said of the plugin, in words. */
export function failureOf(code: FailureCode, plugin: string, why: string): PoolerError {
  switch (code) {
    case "PLUGIN_FAILED":
      return new PoolerError(code, `plugin "${plugin}" failed: ${why}`);
    case "PLUGIN_TIMEOUT":
      return new PoolerError(code, `plugin "${plugin}" failed: ${why}`, {
        hint: "It is not known what the plugin did. When it happens often, make it answer sooner, or raise its deadline.",
      });
    case "PLUGIN_BUSY":
      return new PoolerError(code, `plugin "${plugin}" is busy: ${why}`, {
        hint: "Try again later. When it happens often, make the plugin answer sooner, or raise its max_concurrent.",
      });
  }
}
