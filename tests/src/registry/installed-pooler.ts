// `npx pooler start` in a project that has installed it, as its user would type it and end it with Ctrl-C.
import { spawn } from "node:child_process";
import { once } from "node:events";

export interface InstalledPooler {
  readonly port: number;
  stop(): Promise<void>;
}

const startLimitMs = 30_000;

/** `project`: with a pooler.toml that asks for a JSON log and any port. Rejects with what was written when it does not come up. */
export async function startInstalledPooler(project: string, env: NodeJS.ProcessEnv): Promise<InstalledPooler> {
  // A group of its own: what a terminal sends Ctrl-C to.
  const child = spawn("npx", ["pooler", "start"], {
    cwd: project,
    env: { ...process.env, ...env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(child, "close");
  const signal = (name: NodeJS.Signals): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) process.kill(-child.pid, name);
  };
  let said = "";
  const port = await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => {
      signal("SIGKILL");
      reject(new Error(`npx pooler start was not ready within ${startLimitMs} ms:\n${said}`));
    }, startLimitMs);
    const look = (text: string): void => {
      said += text;
      const found = /"event":"ready".*?"port":(\d+)/.exec(said);
      if (found === null) return;
      clearTimeout(timer);
      resolve(Number(found[1]));
    };
    child.stdout.setEncoding("utf8").on("data", look);
    child.stderr.setEncoding("utf8").on("data", look);
    child.once("close", (code) => {
      clearTimeout(timer);
      reject(new Error(`npx pooler start ended with ${code}:\n${said}`));
    });
  });
  return {
    port,
    async stop() {
      signal("SIGINT");
      await closed;
    },
  };
}
