// The handshake beyond what the pooler refuses: that it says the same twice, and that exports and bits agree.

import type { BatteryCase } from "./battery-types.js";
import { breach } from "./breach.js";

export function handshakeCases(): readonly BatteryCase[] {
  return [
    {
      group: "handshake",
      title: "asked twice who it is",
      run: ({ plugin }) => {
        const first = plugin.infoAddress();
        if (plugin.infoAddress() !== first) throw breach("pooler_plugin_info_v1 returned another address: the info must be static");
        const { name, version } = plugin.info;
        if (name === null || name === "") throw breach("the info has no name");
        if (version === null || version === "") throw breach("the info has no version");
      },
    },
    {
      group: "handshake",
      title: "looked through for functions that belong together",
      run: ({ plugin, note }) => {
        const learns = plugin.exports("pooler_learn_statement");
        const forgets = plugin.exports("pooler_forget_statement");
        if (forgets && !learns) throw breach("it exports pooler_forget_statement without pooler_learn_statement: it is never called");
        if (learns && !forgets) throw breach("it exports pooler_learn_statement without pooler_forget_statement");
        if (!plugin.exports("pooler_fetch_output")) {
          note("it does not export pooler_fetch_output: answers of more than 64 KiB cannot be given");
        }
      },
    },
  ];
}
