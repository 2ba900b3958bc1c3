// The process in which it is counted what a plugin leaves allocated when it is made and destroyed over and over. The C library's
// own books say it, where it keeps them; nothing else may work in this process, the SQL parser least of all.
import { readFileSync, writeSync } from "node:fs";
import { native } from "@pooler/core/plugin-tools";
import type { BatteryReport, MemoryJob } from "./battery-job.js";
import { createPluginUnderCheck, openLibrary } from "./plugin-under-check.js";

const rounds = 200;
const measurements = 5;
/** Node itself allocates some hundred bytes from time to time. */
const allowedBytesPerRound = 12;

function report(line: BatteryReport): void {
  writeSync(3, `${JSON.stringify(line)}\n`);
}

const job = JSON.parse(readFileSync(0, "utf8")) as MemoryJob;
const { bare } = createPluginUnderCheck(openLibrary(job.library), (symbol) => report({ kind: "calls", symbol }));
const createFrame = Buffer.from(job.create, "base64");
const questions = job.questions.map(({ id, learn, route }) => ({
  id,
  learn: learn === null ? null : Buffer.from(learn, "base64"),
  route: Buffer.from(route, "base64"),
}));
const hooks = job.hooks.map(({ hook, frame }) => ({ hook, frame: Buffer.from(frame, "base64") }));
const allocated = allocatedBytes();

if (allocated === null) report({ kind: "note", text: "what stays allocated cannot be counted here: it needs glibc 2.33" });
else {
  measure(allocated, `created and destroyed ${rounds} times`, () => bare.destroy(bare.create(createFrame)));
  measure(allocated, `created, asked and destroyed ${rounds} times`, () => {
    const state = bare.create(createFrame);
    questions.forEach(({ id, learn, route }, index) => {
      if (learn !== null) bare.learn(state, learn);
      bare.route(state, route);
      // The other half is for pooler_destroy.
      if (learn !== null && index % 2 === 0) bare.forget(state, id);
    });
    bare.destroy(state);
  });
  for (const { hook, frame } of hooks) {
    // Who only leaves was there before.
    const before = hook === "client_disconnect" ? hooks.filter((each) => each.hook === "client_connect") : [];
    measure(allocated, `created, called in ${hook} and destroyed ${rounds} times`, () => {
      const state = bare.create(createFrame);
      for (const each of before) bare.hook(each.hook, state, each.frame);
      bare.hook(hook, state, frame);
      bare.destroy(state);
    });
  }
}
report({ kind: "end" });
// A plugin with threads of its own would keep the process alive.
process.exit(0);

function measure(bytes: () => number, title: string, round: () => void): void {
  report({ kind: "case", index: 0, group: "memory", title });
  growthOf(bytes, round, 1);
  // What Node allocates for itself does not grow with the rounds; a leak does.
  const growth = growthOf(bytes, round, measurements) > allowedBytesPerRound ? growthOf(bytes, round, measurements, 8) : 0;
  const problem = `${Math.round(growth)} bytes stay allocated each time`;
  if (growth > allowedBytesPerRound) report({ kind: "breach", problem, message: problem });
}

/** Bytes each round, the median of some measurements. */
function growthOf(bytes: () => number, round: () => void, times: number, factor = 1): number {
  const growths = Array.from({ length: times }, () => {
    globalThis.gc?.();
    const before = bytes();
    for (let i = 0; i < factor * rounds; i++) round();
    globalThis.gc?.();
    return (bytes() - before) / (factor * rounds);
  });
  const [growth = 0] = growths.sort((a, b) => a - b).slice(Math.floor(times / 2));
  return growth;
}

/** mallinfo2() of glibc 2.33 and later: what malloc has given out, of all threads. */
function allocatedBytes(): (() => number) | null {
  try {
    const fields = ["arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"];
    const struct = native().struct(Object.fromEntries(fields.map((name) => [name, "size_t"])));
    const mallinfo = native().load(null).func("mallinfo2", struct, []) as () => { readonly uordblks: number; readonly hblkhd: number };
    return () => {
      const { uordblks, hblkhd } = mallinfo();
      return uordblks + hblkhd;
    };
  } catch {
    return null;
  }
}
