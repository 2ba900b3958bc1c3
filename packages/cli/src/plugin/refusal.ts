// What an author can repair: told in words, with what to do, and without a stack.
import { PoolerError } from "@pooler/core";

export function refusal(message: string, hint?: string, cause?: unknown): PoolerError {
  return new PoolerError("PLUGIN_UNUSABLE", message, {
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
  });
}
