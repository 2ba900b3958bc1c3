// GET /metrics and GET /health over HTTP. Knows nothing of where a view comes from.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { PoolerError } from "../base/errors.js";
import type { Logger } from "../base/logger.js";
import type { PoolerView } from "./pooler-view.js";
import { metricsFormats, renderMetrics } from "./render-metrics.js";

export interface MetricsServer {
  readonly host: string;
  /** The real one, also when the configuration says 0. */
  readonly port: number;
  close(): Promise<void>;
}

export interface MetricsServerOptions {
  readonly host: string;
  readonly port: number;
  readonly logger: Logger;
  view(): Promise<PoolerView>;
  health(): Health;
}

export interface Health {
  /** All workers are ready: 200; else 503. */
  readonly healthy: boolean;
  readonly details: Readonly<Record<string, unknown>>;
}

export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const scrapes = createScrapes(options);
  const server = createServer((request, response) => {
    void answer(request, response, options, scrapes);
  });
  await new Promise<void>((listening, failed) => {
    server.once("error", (cause) => failed(refusal(options, cause)));
    server.listen(options.port, options.host, listening);
  });
  server.on("error", (error) => options.logger.error({ event: "metrics error", error }, "the metrics server failed"));
  const address = server.address();
  return {
    host: options.host,
    port: typeof address === "object" && address !== null ? address.port : options.port,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

/** Scrapes that come together share one round of questions to the workers. */
function createScrapes(options: MetricsServerOptions): () => Promise<PoolerView> {
  let running: Promise<PoolerView> | null = null;
  return () => {
    running ??= options.view().finally(() => {
      running = null;
    });
    return running;
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: MetricsServerOptions,
  scrapes: () => Promise<PoolerView>,
): Promise<void> {
  try {
    if (request.method !== "GET" && request.method !== "HEAD") {
      send(response, 405, "text/plain", "only GET\n", { allow: "GET, HEAD" });
      return;
    }
    const path = (request.url ?? "/").split("?")[0];
    if (path === "/metrics") {
      const format = /application\/openmetrics-text/.test(request.headers.accept ?? "") ? "openMetrics" : "prometheus";
      send(response, 200, metricsFormats[format], await renderMetrics(await scrapes(), format));
    } else if (path === "/health") {
      const { healthy, details } = options.health();
      send(
        response,
        healthy ? 200 : 503,
        "application/json",
        `${JSON.stringify({ status: healthy ? "ok" : "unavailable", ...details })}\n`,
      );
    } else {
      send(response, 404, "text/plain", "try /metrics or /health\n");
    }
  } catch (error) {
    options.logger.error({ event: "metrics error", error }, "a scrape failed");
    if (response.headersSent) response.destroy();
    else send(response, 500, "text/plain", "the pooler could not collect its metrics, its log says why\n");
  }
}

function send(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(body), ...headers });
  // Of an answer to HEAD, Node leaves the body out by itself.
  response.end(body);
}

function refusal({ host, port }: MetricsServerOptions, cause: Error): PoolerError {
  const code = "code" in cause ? String(cause.code) : cause.message;
  return new PoolerError(
    "IO",
    `cannot serve metrics on ${host}:${port}: ${code === "EADDRINUSE" ? "the address is in use (EADDRINUSE)" : code}`,
    {
      hint: "Set [metrics] host and port to an address of this machine and a free port (0 lets the system choose), or remove the table.",
      cause,
    },
  );
}
