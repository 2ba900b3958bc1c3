// Loaded into a worker process by NODE_OPTIONS=--import: counts what the worker does between two calls, and tells it over a socket in
// the directory POOLER_PROBE. Knows nothing of the pooler but that it reaches native code through koffi.
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import v8 from "node:v8";

const directory = process.env.POOLER_PROBE;
/** "allocations" leaves the code as it is; "calls" counts functions, which makes it slower. */
const mode = process.env.POOLER_PROBE_MODE;
// Workers are the processes that have a channel to their parent.
if (directory !== undefined && process.send !== undefined) {
  const counter = mode === "calls" ? await countCalls() : countAllocations();
  const server = createServer((socket) => {
    socket.on("data", (command) => {
      if (String(command) === "start\n") counter.start().then(() => socket.write("{}\n"));
      else counter.stop().then((counts) => socket.write(`${JSON.stringify(counts)}\n`));
    });
    socket.on("error", () => {});
    socket.unref();
  });
  server.listen(join(directory, "probe.sock"));
  server.unref();
}

/** Bytes of the JavaScript heap: its growth between collections, summed up. */
function countAllocations() {
  let profiler;
  let usedAtStart = 0;
  return {
    async start() {
      profiler = new v8.GCProfiler();
      profiler.start();
      usedAtStart = v8.getHeapStatistics().used_heap_size;
    },
    async stop() {
      const usedAtEnd = v8.getHeapStatistics().used_heap_size;
      let since = usedAtStart;
      let bytes = 0;
      const { statistics } = profiler.stop();
      for (const { beforeGC, afterGC } of statistics) {
        bytes += beforeGC.heapStatistics.usedHeapSize - since;
        since = afterGC.heapStatistics.usedHeapSize;
      }
      return { allocatedBytes: bytes + usedAtEnd - since };
    },
  };
}

/** Calls of the pooler's own functions, and of native ones by name. */
async function countCalls() {
  const { Session } = await import("node:inspector/promises");
  const native = countNativeCalls(await import(koffiUrl().href));
  const session = new Session();
  session.connect();
  const isOurs = ({ url }) => url.startsWith("file:") && !url.includes("/node_modules/") && url !== import.meta.url;
  const functions = async () => {
    const { result } = await session.post("Profiler.takePreciseCoverage");
    return result
      .filter(isOurs)
      .flatMap(({ url, functions: list }) =>
        list.map(({ functionName, ranges }) => ({ name: `${url.split("/").at(-1)} ${functionName}`, count: ranges[0].count })),
      );
  };
  return {
    async start() {
      await session.post("Profiler.enable");
      await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
      await functions();
      native.clear();
    },
    async stop() {
      const nativeCalls = Object.fromEntries(native);
      // What was counted before is not counted again.
      const counted = await functions();
      await session.post("Profiler.stopPreciseCoverage");
      return { nativeCalls, functionCalls: counted.filter(({ count }) => count > 0) };
    },
  };
}

function koffiUrl() {
  // The module that the worker will import: what require() finds lies beside it.
  return new URL("index.js", pathToFileURL(createRequire(process.argv[1]).resolve("koffi")));
}

function countNativeCalls({ default: koffi }) {
  const counts = new Map();
  const { load } = koffi;
  koffi.load = (...path) => {
    const library = load(...path);
    return new Proxy(library, {
      get(target, key) {
        const value = target[key];
        if (key !== "func") return typeof value === "function" ? value.bind(target) : value;
        return (...declaration) => {
          const call = target.func(...declaration);
          return (...args) => {
            counts.set(call.name, (counts.get(call.name) ?? 0) + 1);
            return call(...args);
          };
        };
      },
    });
  };
  return counts;
}
