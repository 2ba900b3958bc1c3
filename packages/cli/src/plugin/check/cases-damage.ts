// Frames that are cut off or damaged: whatever the plugin makes of them, it must not read or write beyond them.
import { structs } from "@pooler/plugin-abi";
import { learnInput, routeInput } from "./asker.js";
import type { BatteryCase, CaseContext } from "./battery-types.js";
import { type BuiltFrame, buildInput, type InputSpec } from "./frame-builder.js";
import type { PluginUnderCheck } from "./plugin-under-check.js";
import { parameterSets, usualInput } from "./questions.js";

/** With tables, functions, a parse tree and parameters: every part of a frame is there. */
export const richText =
  "UPDATE users SET name = lower($2), at = now() WHERE id = $1 AND app.allowed(id) AND id IN (SELECT user_id FROM public.orders)";

export interface Damageable {
  readonly whole: BuiltFrame;
  /** `length`: what the plugin is told; the frame's own by default. */
  ask(frame: Buffer, length?: number): void;
}

export function damageCases(plugin: PluginUnderCheck): readonly BatteryCase[] {
  const headBytes = structs.pooler_input.size;
  const learns = plugin.exports("pooler_learn_statement");
  return [
    ...damageCasesOf("asked", headBytes, (context, state) => {
      const whole = buildInput(routeInput(richInput(context)));
      if (learns) plugin.learn(state, buildInput(learnInput(usualInput(context.statement(richText)))).bytes, { wellFormed: true });
      return { whole, ask: (frame, length) => context.plugin.route(state, frame, { ...damaged, ...lengthOf(length) }) };
    }),
    ...(learns
      ? damageCasesOf("taught", headBytes, (context, state) => {
          const whole = buildInput(learnInput(richInput(context)));
          return { whole, ask: (frame, length) => context.plugin.learn(state, frame, { ...damaged, ...lengthOf(length) }) };
        })
      : []),
  ];
}

/** `headBytes`: of the frame's first struct, which is always there. */
export function damageCasesOf(
  verb: string,
  headBytes: number,
  open: (context: CaseContext, state: bigint) => Damageable,
): readonly BatteryCase[] {
  const titled = (title: string, run: (damageable: Damageable) => void): BatteryCase => ({
    group: "damaged frames",
    title: `${verb} with ${title}`,
    run: (context) => context.withState((state) => run(open(context, state))),
  });
  return [
    titled("frames that are cut off", ({ whole: { bytes }, ask }) => {
      for (let length = bytes.length - 8; length >= headBytes; length -= 8) ask(bytes.subarray(0, length));
      // The struct itself is there; only its length is told short.
      for (const length of [headBytes - 8, 32, 8, 4, 0]) ask(bytes, Math.min(length, headBytes - 8));
    }),
    titled("offsets, lengths, counts and strides that lead out of the frame", ({ whole: { bytes, structural }, ask }) => {
      for (const { at, kind } of structural) {
        for (const value of wrongValues(kind, bytes, at)) ask(changed(bytes, [[at, value]]));
      }
    }),
    titled("frames that are damaged in several places", ({ whole: { bytes, structural }, ask }) => {
      const random = createRandom(20_240_817);
      for (let round = 0; round < 1500; round++) {
        const changes = Array.from({ length: 1 + (random() % 4) }, () => {
          const { at, kind } = structural[random() % structural.length] as BuiltFrame["structural"][number];
          const values = wrongValues(kind, bytes, at);
          return [at, values[random() % values.length] ?? 0] as const;
        });
        ask(changed(bytes, changes));
      }
    }),
  ];
}

const damaged = { wellFormed: false, shards: Number.POSITIVE_INFINITY, parser: null };

export function lengthOf(length: number | undefined): { readonly length?: number } {
  return length === undefined ? {} : { length };
}

function richInput({ statement }: CaseContext): InputSpec {
  return { ...usualInput(statement(richText)), parameters: parameterSets[6]?.parameters ?? [] };
}

/** Offsets stay multiples of eight: alignment is what the host guarantees. */
function wrongValues(kind: BuiltFrame["structural"][number]["kind"], bytes: Buffer, at: number): readonly number[] {
  const end = bytes.length;
  switch (kind) {
    case "ref":
      return [0, 8, end - 8, end, end + 8, 0x7fff_fff8, 0xffff_fff8];
    case "offset":
      return [0, end - 8, end, end + 8, 0x7fff_fff8, 0xffff_fff8];
    case "length":
    case "count":
      return [0, bytes.readUInt32LE(at) + 1, end, 0x7fff_ffff, 0xffff_ffff];
    case "stride":
      return [0, 8, end & ~7, 0x7fff_fff8, 0xffff_fff8];
  }
}

function changed(bytes: Buffer, changes: readonly (readonly [number, number])[]): Buffer {
  const frame = Buffer.from(bytes);
  for (const [at, value] of changes) frame.writeUInt32LE(value >>> 0, at);
  return frame;
}

/** The same frames every time. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 8;
  };
}
