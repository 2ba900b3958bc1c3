// The process in which a plugin's library goes through the battery. Reads its job from standard input; writes what it is about
// to do and what it found to descriptor 3, at once, so that a crash leaves nothing unsaid.
import { readFileSync, writeSync } from "node:fs";
import { createStatementParser, isScript } from "@pooler/core/plugin-tools";
import { constants } from "@pooler/plugin-abi";
import { learnInput, routeInput } from "./asker.js";
import { batteryOf, createCaseContext } from "./battery.js";
import type { BatteryJob, BatteryReport, MemoryJob } from "./battery-job.js";
import { Breach } from "./breach.js";
import { hooksOf } from "./cases-hooks.js";
import { type BuiltFrame, buildCreateInput, buildInput } from "./frame-builder.js";
import { quietFrame } from "./hook-questions.js";
import { createPluginUnderCheck, openLibrary } from "./plugin-under-check.js";
import { usualInput } from "./questions.js";
import { openScript } from "./script-calls.js";

const job = JSON.parse(readFileSync(0, "utf8")) as BatteryJob;

function report(line: BatteryReport): void {
  writeSync(3, `${JSON.stringify(line)}\n`);
}

const parser = await createStatementParser();
const calls = isScript(job.library) ? await openScript(job.library, parser.grammar) : openLibrary(job.library);
const plugin = createPluginUnderCheck(calls, (symbol) => report({ kind: "calls", symbol }));
const context = createCaseContext({
  plugin,
  parser,
  config: job.config,
  statements: job.statements,
  note: (text) => report({ kind: "note", text }),
});
// The memory of a script is Node's own affair.
if (!isScript(job.library)) report({ kind: "frames", ...framesForMemory() });
for (const [index, each] of batteryOf(plugin, job.statements).entries()) {
  if (index < job.from || job.only?.includes(each.group) === false) continue;
  report({ kind: "case", index, group: each.group, title: each.title });
  try {
    await each.run(context);
  } catch (cause) {
    if (!(cause instanceof Breach)) throw cause;
    report({ kind: "breach", problem: cause.problem, message: cause.message });
  }
}
report({ kind: "end" });
// A plugin with threads of its own would keep the process alive.
process.exit(0);

/** For the process that counts what stays allocated. */
function framesForMemory(): Omit<MemoryJob, "library"> {
  const routes = (plugin.info.hooks & constants.POOLER_HOOK_ROUTE_QUERY) !== 0;
  const inputs = routes ? context.texts.slice(0, 12).map((text) => usualInput(context.statement(text))) : [];
  const base64 = (frame: BuiltFrame): string => frame.bytes.toString("base64");
  return {
    create: base64(buildCreateInput(job.config, parser.grammar)),
    questions: inputs.map((input) => ({
      id: input.statement.id,
      learn: context.learns ? base64(buildInput(learnInput(input))) : null,
      route: base64(buildInput(routeInput(input))),
    })),
    hooks: hooksOf(plugin).map((hook) => ({ hook, frame: base64(quietFrame(hook, context)) })),
  };
}
