// Learning and forgetting in every order that the pooler may keep.
import { createAsker } from "./asker.js";
import type { BatteryCase, CaseContext } from "./battery-types.js";
import type { PluginUnderCheck } from "./plugin-under-check.js";
import { usualInput } from "./questions.js";

export function learnCases(plugin: PluginUnderCheck): readonly BatteryCase[] {
  if (!plugin.exports("pooler_learn_statement")) return [];
  const titled = (title: string, run: (context: CaseContext, state: bigint) => void): BatteryCase => ({
    group: "learn",
    title,
    run: (context) => context.withState((state) => run(context, state)),
  });
  const some = ({ texts, statement }: CaseContext) => texts.slice(0, 30).map((text) => usualInput(statement(text)));
  return [
    titled("taught a statement twice", (context, state) => {
      const asker = createAsker(context, state);
      for (const input of some(context)) {
        asker.learn(input);
        asker.learn(input);
        asker.ask(input);
      }
    }),
    titled("taught many statements, asked in another order, made to forget every other", (context, state) => {
      const asker = createAsker(context, state);
      const inputs = some(context);
      for (const input of inputs) asker.learn(input);
      for (const input of [...inputs].reverse()) asker.ask(input);
      inputs.forEach((input, index) => {
        if (index % 2 === 0) asker.forget(input.statement.id);
      });
      for (const input of inputs) asker.ask(input);
      for (const input of inputs) asker.forget(input.statement.id);
    }),
    titled("taught other texts under ids that it forgot", (context, state) => {
      const asker = createAsker(context, state);
      const inputs = some(context);
      for (const [index, input] of inputs.entries()) {
        const id = 1_000_000 + (index % 3);
        const again = { ...input, statement: { ...input.statement, id } };
        asker.ask(again);
        asker.forget(id);
      }
    }),
    titled("taught statements, and destroyed without forgetting them", (context, state) => {
      const asker = createAsker(context, state);
      for (const input of some(context)) asker.learn(input);
    }),
    titled("taught in two states at the same time", (context, state) => {
      context.withState((other) => {
        const askers = [createAsker(context, state), createAsker(context, other)];
        for (const input of some(context)) for (const asker of askers) asker.ask(input);
        for (const input of some(context)) askers[0]?.forget(input.statement.id);
        for (const input of some(context)) askers[1]?.ask(input);
      });
    }),
  ];
}
