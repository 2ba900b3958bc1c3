#!/usr/bin/env node
// What the command `pooler` runs.
import { runProgram } from "./program.js";
import { createTerminal } from "./terminal.js";

process.exitCode = await runProgram(process.argv.slice(2), createTerminal());
