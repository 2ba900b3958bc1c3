// Every command of the console, in the order of SHOW HELP. docs/console.md is compared with this list by a test.
import { type ConsoleCommand, showCommand, text } from "./console-command.js";
import { pause, resume } from "./pause.js";
import { reload } from "./reload.js";
import { showClients } from "./show-clients.js";
import { showConfig } from "./show-config.js";
import { showDatabases } from "./show-databases.js";
import { showLists } from "./show-lists.js";
import { showMultiplex } from "./show-multiplex.js";
import { showPlugins } from "./show-plugins.js";
import { showPools } from "./show-pools.js";
import { showServers } from "./show-servers.js";
import { showHosts, showShards } from "./show-shards.js";
import { showState, showVersion, showWorkers } from "./show-state.js";
import { showStats, showStatsAverages, showStatsTotals, showTotals } from "./show-stats.js";
import { showUsers } from "./show-users.js";
import { shutdown } from "./shutdown.js";

const showHelp = showCommand<ConsoleCommand>({
  name: "SHOW HELP",
  summary: "This list.",
  rows: () => consoleCommands,
  columns: [
    text("command", ({ name, argument }) => (argument === null ? name : `${name} ${argument}`)),
    text("access", ({ access }) => access),
    text("description", ({ summary }) => summary),
  ],
});

export const consoleCommands: readonly ConsoleCommand[] = [
  showPools,
  showClients,
  showServers,
  showStats,
  showStatsTotals,
  showStatsAverages,
  showTotals,
  showMultiplex,
  showDatabases,
  showShards,
  showHosts,
  showUsers,
  showLists,
  showPlugins,
  showConfig,
  showWorkers,
  showState,
  showVersion,
  showHelp,
  reload,
  pause,
  resume,
  shutdown,
];
