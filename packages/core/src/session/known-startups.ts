// What a startup packet means, found once for all clients that send the same bytes: its settings, and what the client is greeted
// with. Clients that come and go by the thousand mostly come from a few applications, and share it as long as they stay.
import { writeParameterStatus } from "../protocol/backend.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { readOptions, type StartupPacket } from "../protocol/startup.js";
import { noSettings, type Settings, startupSetting, withSetting } from "./settings.js";

/** So many packets are remembered, of this length at most. */
const mostPackets = 256;
const longestPacketBytes = 1_024;
/** Parts of a startup packet that are not settings. */
const notSettings = new Set(["user", "database", "options", "replication"]);
/** Reported by the server whenever they change: a client that set one at startup expects its own value. */
const reported = new Map(
  ["application_name", "client_encoding", "DateStyle", "IntervalStyle", "TimeZone", "search_path", "default_transaction_read_only"].map(
    (name) => [name.toLowerCase(), name],
  ),
);

export interface Greeting {
  /** What the startup packet asked for. */
  readonly settings: Settings;
  /** Values of the settings that clients are told. */
  readonly shown: ReadonlyMap<string, string>;
  /** The same as ParameterStatus messages. */
  readonly messages: Buffer;
  readonly encoding: string;
  readonly standardStrings: boolean;
}

export class Startup {
  readonly packet: Extract<StartupPacket, { kind: "startup" }>;
  #given: ReadonlyMap<string, string> | null = null;
  #settings: Settings | null = null;
  #greetedBy: ReadonlyMap<string, string> | null = null;
  #greeting: Greeting | null = null;

  constructor(packet: Extract<StartupPacket, { kind: "startup" }>) {
    this.packet = packet;
  }

  /** Settings of the packet by their lower-case names; `options` come first, as in PostgreSQL. Throws for options that are none. */
  get given(): ReadonlyMap<string, string> {
    this.#given ??= settingsOf(this.packet.parameters);
    return this.#given;
  }

  get settings(): Settings {
    if (this.#settings === null) {
      let settings: Settings = noSettings;
      for (const [name, value] of this.given)
        settings = withSetting(settings, name, Buffer.from(startupSetting(name, value)).toString("latin1"));
      this.#settings = settings;
    }
    return this.#settings;
  }

  get applicationName(): string {
    return this.packet.parameters.get("application_name") ?? "";
  }

  /** `server`: what a server of the pool greeted with. */
  greeting(server: ReadonlyMap<string, string>): Greeting {
    if (this.#greeting === null || this.#greetedBy !== server) {
      this.#greetedBy = server;
      this.#greeting = greetingOf(server, this.given, this.settings);
    }
    return this.#greeting;
  }
}

export class KnownStartups {
  readonly #byText = new Map<string, Startup>();

  /** The packet's bytes as latin1 text when they are worth remembering, else null. */
  textOf(buffer: Buffer, start: number, end: number): string | null {
    return end - start > longestPacketBytes ? null : buffer.latin1Slice(start, end);
  }

  get(text: string | null): Startup | null {
    return text === null ? null : (this.#byText.get(text) ?? null);
  }

  /** Only for clients that have proved who they are: others could fill it with anything. */
  remember(text: string | null, startup: Startup): void {
    if (text === null || this.#byText.has(text)) return;
    if (this.#byText.size >= mostPackets) {
      const oldest = this.#byText.keys().next().value;
      if (oldest !== undefined) this.#byText.delete(oldest);
    }
    this.#byText.set(text, startup);
  }
}

function settingsOf(parameters: ReadonlyMap<string, string>): Map<string, string> {
  const settings = new Map<string, string>();
  const options = parameters.get("options");
  if (options !== undefined) for (const [name, value] of readOptions(options)) settings.set(name.toLowerCase(), value);
  for (const [name, value] of parameters) if (!notSettings.has(name)) settings.set(name.toLowerCase(), value);
  return settings;
}

function greetingOf(server: ReadonlyMap<string, string>, given: ReadonlyMap<string, string>, settings: Settings): Greeting {
  const shown = given.size === 0 ? server : withGiven(server, given);
  const writer = new MessageWriter(1_024);
  for (const [name, value] of shown) writeParameterStatus(writer, name, value);
  return {
    settings,
    shown,
    messages: writer.toBuffer(),
    encoding: shown.get("client_encoding") ?? "UTF8",
    standardStrings: shown.get("standard_conforming_strings") !== "off",
  };
}

function withGiven(server: ReadonlyMap<string, string>, given: ReadonlyMap<string, string>): Map<string, string> {
  const shown = new Map(server);
  for (const [name, value] of given) {
    const proper = reported.get(name);
    if (proper !== undefined) shown.set(proper, name === "client_encoding" ? encodingName(value) : value);
  }
  return shown;
}

/** PostgreSQL reports its own name of an encoding, whatever the client called it. */
function encodingName(value: string): string {
  const plain = value.toUpperCase().replaceAll(/[^A-Z0-9]/g, "");
  return plain === "UTF8" || plain === "UNICODE" ? "UTF8" : value.toUpperCase();
}
