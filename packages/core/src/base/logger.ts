// Structured log lines on standard error. Hides secrets by the name of their field and by their looks, wherever they
// stand. Knows nothing of what is logged.
import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import type { Logger as Pino } from "pino";
import { PoolerError } from "./errors.js";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error";
export type LogFormat = "json" | "pretty";
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  trace(fields: LogFields, message: string): void;
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** The same logger with fields that every line of it carries. */
  child(fields: LogFields): Logger;
  /** Would such a line be written? For fields that are costly to gather. */
  isEnabled(level: LogLevel): boolean;
  /** For this logger, its parents and children alike: a reload may change it. */
  setLevel(level: LogLevel | "silent"): void;
}

export interface LoggerOptions {
  readonly level: LogLevel | "silent";
  readonly format: LogFormat;
  /** Fields of every line, e.g. { worker: 1 }. */
  readonly base?: LogFields;
  /** Takes whole lines with their line feed; standard error by default. */
  readonly write?: (line: string) => void;
}

const severities = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, silent: Number.POSITIVE_INFINITY } as const;

export function createLogger(options: LoggerOptions): Logger {
  const write = options.write ?? writeToStandardError;
  const sink = { write: options.format === "json" ? write : (line: string) => write(prettyLine(line)) };
  const createRoot = (): Pino => {
    const { pino } = createRequire(import.meta.url)("pino") as typeof import("pino");
    return pino(
      {
        level: "trace",
        base: options.base === undefined ? {} : (redact(options.base, 0) as Record<string, unknown>),
        timestamp: pino.stdTimeFunctions.isoTime,
        // Errors are turned into plain fields by redact(), before pino sees them.
        serializers: {},
        formatters: { level: (label) => ({ level: label }) },
      },
      sink,
    );
  };
  const logger = new PinoLogger(createRoot, { severity: severities[options.level] });
  // Not while the process starts, but before there is trouble: without a free descriptor nothing could be loaded to tell of it.
  if (options.write === undefined) setTimeout(() => logger.load(), loadMs).unref();
  return logger;
}

/** For tests and libraries that must be quiet. */
export function createSilentLogger(): Logger {
  return createLogger({ level: "silent", format: "json", write: () => {} });
}

/** How long after its start a process that had nothing to say loads what it would say it with. */
const loadMs = 100;

/** pino is loaded with the first line that is written, or a little later. */
class PinoLogger implements Logger {
  readonly #create: () => Pino;
  readonly #threshold: { severity: number };
  #pino: Pino | null = null;

  constructor(create: () => Pino, threshold: { severity: number }) {
    this.#create = create;
    this.#threshold = threshold;
  }

  trace(fields: LogFields, message: string): void {
    this.#log("trace", fields, message);
  }

  debug(fields: LogFields, message: string): void {
    this.#log("debug", fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#log("info", fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#log("warn", fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#log("error", fields, message);
  }

  child(fields: LogFields): Logger {
    return new PinoLogger(() => this.#target().child(redact(fields, 0) as Record<string, unknown>), this.#threshold);
  }

  isEnabled(level: LogLevel): boolean {
    return severities[level] >= this.#threshold.severity;
  }

  setLevel(level: LogLevel | "silent"): void {
    this.#threshold.severity = severities[level];
  }

  #log(level: LogLevel, fields: LogFields, message: string): void {
    if (!this.isEnabled(level)) return;
    let target: Pino;
    try {
      target = this.#target();
    } catch {
      // Without a free descriptor, most likely: what there is to say must not end the process that says it.
      writeToStandardError(`${JSON.stringify({ level, time: new Date().toISOString(), msg: hideInText(message) })}\n`);
      return;
    }
    target[level](redact(fields, 0), hideInText(message));
  }

  load(): void {
    try {
      this.#target();
    } catch {
      // The first line tries again.
    }
  }

  #target(): Pino {
    this.#pino ??= this.#create();
    return this.#pino;
  }
}

const secretNames = /^(?:.*[_-]?password|passwd|.*verifier|.*secret|.*secret_?key|.*token|authorization|.*credentials?)$/i;
const hidden = "[hidden]";

/** Would a field or key of this name hold a secret? */
export function isSecretName(name: string): boolean {
  return secretNames.test(name);
}

const deepestField = 6;

/** Plain data with secrets replaced, cycles and endless depth cut, and errors as { type, message, code, … }. */
function redact(value: unknown, depth: number): unknown {
  if (typeof value === "string") return hideInText(value);
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  if (depth >= deepestField) return "[deeper]";
  if (value instanceof Error) return redact(errorFields(value), depth);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Date) return value;
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  const plain: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) {
    plain[name] = isSecretName(name) && item !== null && item !== undefined ? hidden : redact(item, depth + 1);
  }
  return plain;
}

/** An expected failure needs no stack; a bug does. */
function errorFields(error: Error): Record<string, unknown> {
  const fields: Record<string, unknown> = { type: error.name, message: error.message };
  if (error instanceof PoolerError) {
    fields["code"] = error.code;
    fields["sqlstate"] = error.sqlstate;
    if (error.detail !== undefined) fields["detail"] = error.detail;
    if (error.hint !== undefined) fields["hint"] = error.hint;
  } else {
    if ("code" in error) fields["code"] = error.code;
    fields["stack"] = error.stack;
  }
  if (error.cause !== undefined) fields["cause"] = error.cause;
  return fields;
}

// Up to the last "@" of the word: a password that should have been percent-encoded may hold "/" and "@" itself.
const urlPassword = /([a-z][a-z0-9+.-]*:\/\/[^\s/:@]*:)[^\s"']*@/gi;
const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g;

/** Passwords in URLs and private keys do not survive in any text. */
export function hideInText(text: string): string {
  const withoutUrls = text.includes("://") ? text.replace(urlPassword, `$1${hidden}@`) : text;
  return withoutUrls.includes("PRIVATE KEY") ? withoutUrls.replace(privateKey, hidden) : withoutUrls;
}

/** Synchronous: the last words of a process that is about to die must be out. */
function writeToStandardError(line: string): void {
  const bytes = Buffer.from(line);
  let offset = 0;
  while (offset < bytes.length) {
    try {
      offset += writeSync(2, bytes, offset);
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
      // A pipe whose reader is slow: wait a little, off the CPU. Any other failure loses the line, never the process.
      if (code !== "EAGAIN") return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}

/** `12:03:04.567 WARN  message  key=value`; what is not JSON passes as it is. */
function prettyLine(line: string): string {
  const parsed: unknown = JSON.parse(line);
  if (typeof parsed !== "object" || parsed === null) return line;
  const { level, time, msg, ...fields } = parsed as Record<string, unknown>;
  const clock = typeof time === "string" ? time.slice(11, 23) : "";
  const tail = Object.entries(fields).map(([name, value]) => prettyField(name, value));
  return `${[clock, String(level).toUpperCase().padEnd(5), String(msg), ...tail].join(" ")}\n`;
}

function prettyField(name: string, value: unknown): string {
  if (typeof value === "object" && value !== null && "stack" in value && typeof value.stack === "string") return `\n${value.stack}`;
  if (typeof value === "string" && /^[\w./:@-]+$/.test(value)) return `${name}=${value}`;
  return `${name}=${JSON.stringify(value)}`;
}
