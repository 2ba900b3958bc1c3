// An answer that did not fit: asks the plugin for it once more, into a frame that is as large as it wanted.
import { constants } from "@pooler/plugin-abi";
import type { LoadedPlugin } from "./chain-plugin.js";
import { type CrashPage, crashHooks } from "./crash-page.js";
import { largestOutputBytes, type OutputFrame } from "./frames-output.js";

/** The status that the plugin answers now, or what is wrong, in words. `names`: the plugin has named its answer by a cookie. */
export function fetchOutput(plugin: LoadedPlugin, position: number, page: CrashPage, output: OutputFrame, names = false): number | string {
  const { needed, cookieLow, cookieHigh } = output;
  const fetch = plugin.exports.fetchOutput;
  if (fetch === null) return "it wants space for its answer and does not export pooler_fetch_output";
  if (needed > largestOutputBytes) return `its answer wants ${needed} bytes, the limit is ${largestOutputBytes}`;
  if (needed <= output.capacity) return `its answer wants ${needed} bytes, it had ${output.capacity}`;
  output.grow(needed);
  output.clear();
  if (names) output.setCookie(cookieLow, cookieHigh);
  page.enter(position, crashHooks.fetch_output);
  const status = fetch(plugin.state, output.address, output.capacity);
  page.leave();
  return status === constants.POOLER_NEEDS_SPACE ? `its answer still does not fit into the ${needed} bytes that it wanted` : status;
}
