// pooler_create with configurations of all sorts: it takes or refuses them, with a message, and nothing else happens.
import { constants, structs } from "@pooler/plugin-abi";
import type { BatteryCase } from "./battery-types.js";
import { breach } from "./breach.js";
import { buildCreateInput } from "./frame-builder.js";
import { smallestOutput } from "./plugin-under-check.js";

const configs: readonly { readonly title: string; readonly config: Buffer | string | null }[] = [
  { title: "no configuration at all", config: null },
  { title: "an empty text", config: "" },
  { title: "what is no JSON", config: '{"a": ' },
  { title: "a list", config: "[]" },
  { title: "a text", config: '"config"' },
  { title: "null", config: "null" },
  { title: "an unknown key", config: '{"pooler_check_unknown_key": 1}' },
  {
    title: "keys and values of many types",
    config: '{"": {}, "a": [null, true, -1.5e300, "\\u0000\\ud83d\\ude00"], "b": {"c": {"d": []}}}',
  },
  { title: "bytes that are not UTF-8", config: Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]) },
  { title: "a configuration of 1 MiB", config: `{"pooler_check": "${"x".repeat(1 << 20)}"}` },
  { title: "deep nesting", config: `{"a": ${"[".repeat(5000)}${"]".repeat(5000)}}` },
];

export function createCases(): readonly BatteryCase[] {
  return [
    {
      group: "create",
      title: "created with its configuration, and destroyed",
      run: ({ withState }) => withState(() => {}),
    },
    {
      group: "create",
      title: "created twice, and destroyed in the other order",
      run: ({ withState }) => withState(() => withState(() => {})),
    },
    ...configs.flatMap(({ title, config }) =>
      [undefined, smallestOutput, smallestOutput + 16].map(
        (capacity): BatteryCase => ({
          group: "create",
          title: `created with ${title}${capacity === undefined ? "" : ` and ${capacity} bytes for its answer`}`,
          run: ({ plugin, parser }) => {
            const frame = buildCreateInput(config, parser.grammar);
            // Its JSON may be anything; the frame is in order. A panic is caught by the SDK, and is a bug all the same.
            const { answer, state } = plugin.create(frame.bytes, { wellFormed: true, ...(capacity === undefined ? {} : { capacity }) });
            if (state !== null) plugin.destroy(state);
            else if (capacity === undefined && answer.message === null) throw breach("it refused the configuration without a message");
          },
        }),
      ),
    ),
    {
      group: "create",
      title: "created by a later version, whose frame has more fields",
      run: ({ plugin, config, parser }) => {
        const { answer, state } = plugin.create(buildCreateInput(config, parser.grammar, 24).bytes, { wellFormed: true });
        if (state === null) throw breach(`it refused the configuration that it took before: ${answer.message ?? answer.digest}`);
        plugin.destroy(state);
      },
    },
    {
      group: "create",
      title: "created with damaged frames",
      run: ({ plugin, config, parser }) => {
        const whole = buildCreateInput(config, parser.grammar);
        for (const { at } of whole.structural) {
          for (const value of [0xffff_ffff, 0x7fff_fff8, whole.bytes.length, whole.bytes.length - 1]) {
            const frame = Buffer.from(whole.bytes);
            frame.writeUInt32LE(value, at);
            const { answer, state } = plugin.create(frame, { wellFormed: false });
            if (answer.status === constants.POOLER_OK && state !== null) plugin.destroy(state);
          }
        }
        for (let length = structs.pooler_create_input.size; length < whole.bytes.length; length += 8) {
          const { state } = plugin.create(whole.bytes.subarray(0, length), { wellFormed: false });
          if (state !== null) plugin.destroy(state);
        }
      },
    },
  ];
}
