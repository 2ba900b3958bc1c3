// A plugin that may wait, as the pooler calls it: by several threads at a time, while statements are learned and forgotten and the
// configuration is read again. Each answer must keep the contract, and be that of its own question.
import { constants } from "@pooler/plugin-abi";
import { createAsker, routeInput } from "./asker.js";
import type { BatteryCase, CaseContext } from "./battery-types.js";
import { breach } from "./breach.js";
import { threads } from "./calls-at-once.js";
import { shorten } from "./cases-questions.js";
import { buildCreateInput, buildInput, type InputSpec } from "./frame-builder.js";
import { hookQuestions } from "./hook-questions.js";
import type { Answer } from "./judge-answer.js";
import { hookBits } from "./judge-hook.js";
import { type PluginUnderCheck, smallestOutput, type WaitingCall } from "./plugin-under-check.js";
import { parameterSets, usualInput } from "./questions.js";

const waitingHooks = ["client_connect", "server_connect"] as const;

export function threadCases(plugin: PluginUnderCheck): readonly BatteryCase[] {
  if (!plugin.mayWait) return [];
  const routes = (plugin.info.hooks & constants.POOLER_HOOK_ROUTE_QUERY) !== 0;
  const hooks = waitingHooks.filter((hook) => (plugin.info.hooks & hookBits[hook]) !== 0);
  const rooms = [undefined, smallestOutput];
  const titled = (title: string, run: (context: CaseContext, state: bigint) => Promise<void>): BatteryCase => ({
    group: "threads",
    title,
    run: (context) => context.withState((state) => run(context, state)),
  });
  const within = (capacity: number | undefined): string => (capacity === undefined ? "" : `, each with ${capacity} bytes for its answer`);
  return [
    ...(routes
      ? [
          ...rooms.map((capacity) =>
            titled(`asked by ${threads} threads at a time${within(capacity)}`, (context, state) => askAtOnce(context, state, capacity)),
          ),
          titled(`asked by ${threads} threads about a statement at a time`, askTheSame),
          ...(plugin.exports("pooler_learn_statement")
            ? [titled(`taught and made to forget statements while ${threads} threads ask about others`, learnMeanwhile)]
            : []),
        ]
      : []),
    ...hooks.flatMap((hook) =>
      rooms.map((capacity) =>
        titled(`called in ${hook} by ${threads} threads at a time${within(capacity)}`, (context, state) =>
          callAtOnce(context, state, hook, capacity),
        ),
      ),
    ),
  ];
}

interface Asked {
  readonly call: WaitingCall;
  /** What it is about. */
  readonly title: string;
  /** Alone, on this thread. */
  alone(): Answer;
}

async function askAtOnce(context: CaseContext, state: bigint, capacity: number | undefined): Promise<void> {
  const asked = learned(context, state).map((input) => toAsk(context, state, input, capacity));
  await compareAtOnce(context, state, asked, () => {});
}

async function askTheSame(context: CaseContext, state: bigint): Promise<void> {
  for (const input of learned(context, state).slice(0, 24)) {
    const asked = Array.from({ length: threads }, () => toAsk(context, state, input, undefined));
    await compareAtOnce(context, state, asked, () => {});
  }
}

async function learnMeanwhile(context: CaseContext, state: bigint): Promise<void> {
  const asker = createAsker(context, state);
  const kept = learned(context, state).filter((_, index) => index % 2 === 0);
  // Under ids of their own: nothing that runs may name them.
  const others = context.texts.map((text, index) => {
    const input = usualInput(context.statement(text));
    return { ...input, statement: { ...input.statement, id: 2_000_000 + index } };
  });
  const reloads = (context.plugin.info.hooks & constants.POOLER_HOOK_RELOAD) !== 0;
  const config = buildCreateInput(context.config, context.parser.grammar).bytes;
  let round = 0;
  await compareAtOnce(
    context,
    state,
    kept.map((input) => toAsk(context, state, input, undefined)),
    () => {
      for (let more = 0; more < 4; more++) {
        const other = others[round++ % others.length] as InputSpec;
        asker.learn(other);
        if (round % 3 !== 0) asker.forget(other.statement.id);
      }
      if (reloads) context.plugin.hook("reload", state, config, { wellFormed: true });
    },
  );
}

async function callAtOnce(
  context: CaseContext,
  state: bigint,
  hook: (typeof waitingHooks)[number],
  capacity: number | undefined,
): Promise<void> {
  const asked = hookQuestions(hook).flatMap((question) =>
    question.frames(context, state).map((frame): Asked => {
      const { bytes } = frame(0);
      const room = capacity === undefined ? {} : { capacity };
      return {
        call: { hook, frame: bytes, ...room },
        title: question.title,
        alone: () => context.plugin.hook(hook, state, bytes, { wellFormed: true, ...room }),
      };
    }),
  );
  await compareAtOnce(context, state, asked, () => {});
}

/** All of them, so many at a time, in two orders. */
async function compareAtOnce(context: CaseContext, state: bigint, asked: readonly Asked[], meanwhile: () => void): Promise<void> {
  const before = asked.map(({ alone }) => alone().digest);
  const stride = Math.ceil(asked.length / threads);
  const side = asked.map((_, index) => index);
  const apart = side.map((index) => (index % threads) * stride + Math.floor(index / threads)).filter((index) => index < asked.length);
  for (const order of [side, apart]) {
    for (let from = 0; from < order.length; from += threads) {
      const some = order.slice(from, from + threads);
      const answers = await context.plugin.atOnce(
        state,
        some.map((index) => (asked[index] as Asked).call),
        meanwhile,
      );
      for (const [place, index] of some.entries()) {
        const { title, alone } = asked[index] as Asked;
        const answer = answers[place]?.digest ?? "";
        // One that depends on the time, on chance or on what was asked before cannot be compared.
        if (answer === before[index] || alone().digest !== before[index] || alone().digest !== before[index]) continue;
        const alike = commonLength(answer, before[index] ?? "");
        const [said, saysAlone] = [answer, before[index] ?? ""].map((digest) => shorten(digest.slice(Math.max(0, alike - 20))));
        throw breach(`asked about ${title} beside others it answered ${said}, alone ${saysAlone}`);
      }
    }
  }
}

function commonLength(one: string, other: string): number {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length++;
  return length;
}

function questions({ texts, statement }: CaseContext): readonly InputSpec[] {
  return texts.flatMap((text, index) => {
    const input = usualInput(statement(text));
    const { parameters = [] } = parameterSets.filter(({ isLarge = false }) => !isLarge)[index % 11] ?? {};
    return [input, { ...input, protocol: constants.POOLER_PROTOCOL_EXTENDED, parameters, flags: constants.POOLER_IN_TRANSACTION }];
  });
}

/** Questions about statements that the plugin has learned now. */
function learned(context: CaseContext, state: bigint): readonly InputSpec[] {
  const asker = createAsker(context, state);
  return questions(context).filter((input) => !context.learns || asker.learn(input).status === constants.POOLER_OK);
}

function toAsk({ plugin, parser }: CaseContext, state: bigint, input: InputSpec, capacity: number | undefined): Asked {
  const frame = buildInput(routeInput(input)).bytes;
  const expectations = { wellFormed: true, shards: input.cluster.shards, parser };
  const room = capacity === undefined ? {} : { capacity };
  return {
    call: { hook: "route_query", frame, expectations, ...room },
    title: shorten(input.statement.sql?.toString() ?? ""),
    alone: () => plugin.route(state, frame, { ...expectations, ...room }),
  };
}
