// The hooks beside pooler_route_query: everyday and hostile inputs, little room, damaged frames, frames of later versions.
import { constants } from "@pooler/plugin-abi";
import type { BatteryCase, CaseContext } from "./battery-types.js";
import { breach } from "./breach.js";
import { damageCasesOf, lengthOf } from "./cases-damage.js";
import { scriptBugs } from "./cases-questions.js";
import { buildCreateInput } from "./frame-builder.js";
import { type HookQuestion, hookHeads, hookQuestions, rowsAreWanted } from "./hook-questions.js";
import type { Answer } from "./judge-answer.js";
import { hookBits, type SideHook, sideHooks } from "./judge-hook.js";
import { type PluginUnderCheck, smallestOutput } from "./plugin-under-check.js";

const rooms = [0, 8, 64, 200, 1000].map((more) => smallestOutput + more);

export function hooksOf(plugin: PluginUnderCheck): readonly SideHook[] {
  return sideHooks.filter((hook) => (plugin.info.hooks & hookBits[hook]) !== 0);
}

export function hookCases(plugin: PluginUnderCheck): readonly BatteryCase[] {
  return hooksOf(plugin).flatMap((hook) => [
    ...hookQuestions(hook).map(
      (question): BatteryCase => ({
        group: "other hooks",
        title: `${hook} told of ${question.title}`,
        run: (context) =>
          context.withState((state) => {
            for (const { status, message } of ask(context, hook, state, question)) {
              if (status === constants.POOLER_FAILED && scriptBugs.test(message ?? "")) throw breach(message ?? "");
              // A configuration may be refused; a failure in another hook is worth a word.
              if (status !== constants.POOLER_FAILED || hook === "reload") continue;
              // Nobody shows it rows that it did not ask for.
              if (hook === "result_row" && !rowsAreWanted(context)) continue;
              context.note(`${hook} failed (POOLER_FAILED), told of ${question.title}: ${message ?? ""}`);
            }
          }),
      }),
    ),
    ...(hook === "reload" ? [sameConfigCase()] : []),
    ...rooms.map(
      (capacity): BatteryCase => ({
        group: "space",
        title: `${hook} answering into ${capacity} bytes`,
        run: (context) => {
          for (const question of hookQuestions(hook)) context.withState((state) => ask(context, hook, state, question, { capacity }));
        },
      }),
    ),
    // The pooler's own code reads the frames of a script.
    ...(plugin.info.sdk === "javascript" ? [] : damageCasesOfHook(plugin, hook)),
    ...[8, 64].map((growth) => growthCase(hook, growth)),
  ]);
}

function damageCasesOfHook(plugin: PluginUnderCheck, hook: SideHook): readonly BatteryCase[] {
  return damageCasesOf(`${hook} called`, hookHeads[hook], (context, state) => {
    const [question] = hookQuestions(hook);
    const [frame] = question?.frames(context, state) ?? [];
    if (frame === undefined) throw new Error(`there is no question for ${hook}`);
    const call = { wellFormed: false, columns: null, headBytes: hookHeads[hook] };
    return { whole: frame(0), ask: (bytes, length) => plugin.hook(hook, state, bytes, { ...call, ...lengthOf(length) }) };
  });
}

/** When another plugin refuses a configuration, this one is called with what it had, and must take it. */
function sameConfigCase(): BatteryCase {
  return {
    group: "other hooks",
    title: "reload with the configuration that it was created with",
    run: (context) =>
      context.withState((state) => {
        const frame = buildCreateInput(context.config, context.parser.grammar);
        const { status, message } = context.plugin.hook("reload", state, frame.bytes, { wellFormed: true });
        if (status !== constants.POOLER_OK) throw breach(`it refused the configuration that it has: ${message ?? ""}`);
      }),
  };
}

function growthCase(hook: SideHook, growth: number): BatteryCase {
  return {
    group: "later versions",
    title: `${hook} called with structs that are ${growth} bytes longer`,
    run: (context) => {
      for (const question of hookQuestions(hook)) {
        const answers = (longer: number): string =>
          context
            .withState((state) => ask(context, hook, state, question, { growth: longer }))
            .map(({ digest }) => digest)
            .join("\n");
        const plain = answers(0);
        // One that depends on the time or on chance cannot be compared.
        if (answers(0) !== plain) continue;
        if (answers(growth) !== plain) throw breach(`told of ${question.title}: it answered otherwise than to structs of this version`);
      }
    },
  };
}

function ask(
  context: CaseContext,
  hook: SideHook,
  state: bigint,
  question: HookQuestion,
  { growth = 0, capacity }: { readonly growth?: number; readonly capacity?: number } = {},
): readonly Answer[] {
  return question.frames(context, state).map((frame) =>
    context.plugin.hook(hook, state, frame(growth).bytes, {
      wellFormed: true,
      columns: question.columns ?? null,
      headBytes: hookHeads[hook],
      // The pooler's own code writes the output of a script.
      outputGrowth: context.plugin.info.sdk === "javascript" ? 0 : growth,
      ...(capacity === undefined ? {} : { capacity }),
    }),
  );
}
