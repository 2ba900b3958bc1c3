// Follows docs/tutorial.md word by word: what its fences say is run in one shell, its files are written, and what it says one will see is looked for.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "../authors/command.js";

/** In the order of the page. */
export type Step =
  | { readonly kind: "commands" | "file"; readonly text: string; readonly line: number; readonly path: string }
  /** Lines that the commands before must have written, in this order; a line may hold more. */
  | { readonly kind: "output"; readonly text: string; readonly line: number };

export function readTutorial(): readonly Step[] {
  const lines = readFileSync(join(repository, "docs", "tutorial.md"), "utf8").split("\n");
  const steps: Step[] = [];
  for (let at = 0; at < lines.length; at++) {
    const fence = /^```(\w+)$/.exec(lines[at] ?? "");
    if (fence === null) continue;
    const end = lines.indexOf("```", at + 1);
    const text = `${lines.slice(at + 1, end).join("\n")}\n`;
    const line = at + 1;
    // "… `src/index.ts`:" in the paragraph before makes a file of it.
    const path = /`([^`]+)`:$/.exec(lines[at - 2] ?? "")?.[1];
    if (path !== undefined) steps.push({ kind: "file", text, line, path });
    else if (fence[1] === "sh") steps.push({ kind: "commands", text, line, path: "" });
    else if (fence[1] === "text") steps.push({ kind: "output", text, line });
    else
      throw new Error(`docs/tutorial.md:${line}: a block of "${fence[1]}" that is neither run nor a file: say its path in the line before`);
    at = end;
  }
  return steps;
}

export interface FollowOptions {
  /** Empty. */
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** What the reader types when the shell asks, in this order. */
  readonly answers: readonly (readonly [question: string, answer: string])[];
}

const limitMs = 240_000;

/** What commands wrote, by the line of the page on which they begin. Rejects with the transcript when one fails. */
export async function followTutorial(
  steps: readonly Step[],
  { folder, env, answers }: FollowOptions,
): Promise<ReadonlyMap<number, string>> {
  const script = join(folder, "script");
  const place = join(folder, "reader");
  mkdirSync(script);
  mkdirSync(place);
  const parts = steps.flatMap((step) => {
    if (step.kind === "output") return [];
    const file = join(script, String(step.line));
    writeFileSync(file, step.text);
    return step.kind === "file"
      ? [`mkdir -p "$(dirname '${step.path}')" && cp '${file}' '${step.path}'`]
      : [`echo '${marker}${step.line}'`, `. '${file}'`];
  });
  const all = join(script, "all.sh");
  writeFileSync(all, ["set -e", ...parts, `echo '${marker}end'`, ""].join("\n"));
  const said = await runAsked(all, place, env, answers);
  const written = said.split(marker).slice(1);
  if (written.at(-1)?.startsWith("end") !== true) throw new Error(`the tutorial ended early:\n${said}`);
  return new Map(written.map((part) => [Number.parseInt(part, 10), part.slice(part.indexOf("\n") + 1)]));
}

const marker = "==== line ";

function runAsked(script: string, cwd: string, env: NodeJS.ProcessEnv, answers: FollowOptions["answers"]): Promise<string> {
  return new Promise((resolve, reject) => {
    // A group of its own: what the script leaves in the background ends with it.
    const child = spawn("sh", [script], {
      cwd,
      env: { ...process.env, NO_COLOR: "1", ...env },
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    let said = "";
    let answered = 0;
    let seen = 0;
    const end = (): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // Nobody is left, as it should be.
      }
    };
    const timer = setTimeout(end, limitMs);
    const hear = (text: string): void => {
      said += text;
      for (let next = answers[answered]; next !== undefined; next = answers[answered]) {
        const at = said.indexOf(next[0], seen);
        if (at === -1) return;
        seen = at + next[0].length;
        answered += 1;
        child.stdin.write(`${next[1]}\n`);
      }
    };
    child.stdout.setEncoding("utf8").on("data", hear);
    child.stderr.setEncoding("utf8").on("data", hear);
    child.once("error", reject);
    child.once("close", () => {
      clearTimeout(timer);
      end();
      resolve(said);
    });
  });
}
