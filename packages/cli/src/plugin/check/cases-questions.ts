// Every statement in all circumstances, with all parameters; odd texts, sessions and clusters: each answer must keep the contract.
import { constants } from "@pooler/plugin-abi";
import { type Asker, createAsker } from "./asker.js";
import type { BatteryCase, CaseContext } from "./battery-types.js";
import { Breach, breach } from "./breach.js";
import type { InputSpec } from "./frame-builder.js";
import { circumstances, clusters, oddTexts, parameterSets, sessions, usualInput, usualSession } from "./questions.js";

/** Which statements are worth large or many parameters, sessions and clusters. */
const mainTexts = [
  "SELECT 1",
  "select * from users where id = $1",
  "INSERT INTO users (id, name) VALUES ($1, $2)",
  "UPDATE users SET name = $2 WHERE id = $1",
];

const textsWithLargeParameters = mainTexts.slice(1, 3);

/** What a script did not mean to throw; a plain Error may be its way to say that it cannot do its work. */
export const scriptBugs = /^(?:its answer is malformed|TypeError|RangeError|ReferenceError|SyntaxError)\b/;

/** `texts`: the author's, and those of the battery. */
export function questionCases(texts: readonly string[]): readonly BatteryCase[] {
  return [
    ...texts.map(
      (text): BatteryCase => ({
        group: "questions",
        title: `asked about ${shorten(text)}`,
        run: (context) => askEverything(context, text),
      }),
    ),
    ...oddTexts.map(
      ({ title, sql, encoding }): BatteryCase => ({
        group: "questions",
        title: `asked about ${title}`,
        run: (context) =>
          context.withState((state) => {
            const asker = createAsker(context, state);
            const input = { ...usualInput(context.statement(sql)), session: { ...usualSession, clientEncoding: encoding } };
            for (const each of circumstances) ask(context, asker, { ...input, ...each.input }, each.title);
          }),
      }),
    ),
    ...sessions.map(
      ({ title, session }): BatteryCase => ({
        group: "questions",
        title: `asked by ${title}`,
        run: (context) => askMain(context, (input) => ({ ...input, session }), title),
      }),
    ),
    ...clusters.map(
      ({ title, cluster }): BatteryCase => ({
        group: "questions",
        title: `asked on ${title}`,
        run: (context) => askMain(context, (input) => ({ ...input, cluster }), title),
      }),
    ),
  ];
}

function askEverything(context: CaseContext, text: string): void {
  context.withState((state) => {
    const asker = createAsker(context, state);
    const input = usualInput(context.statement(text));
    for (const each of circumstances) ask(context, asker, { ...input, ...each.input }, each.title);
    for (const { title, parameters, isLarge = false } of parameterSets) {
      if (isLarge && !textsWithLargeParameters.includes(text)) continue;
      const protocol = constants.POOLER_PROTOCOL_EXTENDED;
      ask(context, asker, { ...input, protocol, parameters }, `with ${title}`);
      ask(context, asker, { ...input, protocol, parameters, flags: constants.POOLER_IN_TRANSACTION }, `with ${title} in a transaction`);
    }
  });
}

function askMain(context: CaseContext, change: (input: InputSpec) => InputSpec, title: string): void {
  context.withState((state) => {
    const asker = createAsker(context, state);
    for (const text of mainTexts) {
      for (const parameters of [[], parameterSets[4]?.parameters ?? []]) {
        ask(context, asker, change({ ...usualInput(context.statement(text)), parameters }), `${title} about ${shorten(text)}`);
      }
    }
  });
}

function ask(context: CaseContext, asker: Asker, input: InputSpec, title: string): void {
  try {
    const { status, message } = asker.ask(input);
    if (status === constants.POOLER_FAILED && scriptBugs.test(message ?? "")) throw breach(message ?? "");
    if (status === constants.POOLER_FAILED) context.note(`it failed (POOLER_FAILED), asked ${title}: ${message ?? ""}`);
  } catch (cause) {
    throw cause instanceof Breach ? cause.at(title) : cause;
  }
}

export function shorten(text: string): string {
  const line = text.replaceAll(/\s+/g, " ");
  return JSON.stringify(line.length > 60 ? `${line.slice(0, 57)}...` : line);
}
