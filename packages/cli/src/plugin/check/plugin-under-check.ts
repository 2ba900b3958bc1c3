// A plugin's library, called as the pooler calls it but with frames that a check makes: each call is announced before it is
// made, frames lie in guarded memory, and what the plugin must not touch is compared afterwards.

import { native, OutputFrame, type PluginInfo, readPluginInfo } from "@pooler/core/plugin-tools";
import { constants, structs } from "@pooler/plugin-abi";
import { breach } from "./breach.js";
import { type CallsAtOnce, createCallsAtOnce, type ReturnedCall, type ThreadedCall } from "./calls-at-once.js";
import { createGuardedMemory, type GuardedMemory } from "./guarded-memory.js";
import { type Answer, type Expectations, judgeDone, judgeFetched, judgeGrownOutput, judgeNeeded, judgeRoute } from "./judge-answer.js";
import { type HookExpectations, judgeHook, type SideHook, sideHooks } from "./judge-hook.js";

type NativeCall = ((...args: readonly unknown[]) => unknown) & {
  /** On another thread, as koffi does it; a script has none. */
  readonly async?: ThreadedCall;
};

export interface PluginUnderCheck {
  readonly info: PluginInfo;
  exports(symbol: string): boolean;
  /** The address that pooler_plugin_info_v1 returns. */
  infoAddress(): bigint;
  /** Null when the plugin refused, in the words of `answer`. */
  create(frame: Buffer, call: CallOptions): { readonly answer: Answer; readonly state: bigint | null };
  destroy(state: bigint): void;
  route(state: bigint, frame: Buffer, call: CallOptions & Expectations): Answer;
  learn(state: bigint, frame: Buffer, call: CallOptions): Answer;
  forget(state: bigint, statementId: number): void;
  /** A hook beside the route; only one that the plugin has. */
  hook(hook: SideHook, state: bigint, frame: Buffer, call: CallOptions & HookExpectations): Answer;
  /** May wait, and be called by several threads at a time. */
  readonly mayWait: boolean;
  /**
   * Calls on as many threads of a plugin that may wait, about well-formed frames; `meanwhile` runs on this one when they have begun. At
   * most eight.
   */
  atOnce(state: bigint, calls: readonly WaitingCall[], meanwhile?: () => void): Promise<readonly Answer[]>;
  /** The bare functions, for counting what they allocate. */
  readonly bare: BareCalls;
}

/** A call that may wait, and how its answer is judged. */
export interface WaitingCall {
  readonly hook: "route_query" | "client_connect" | "server_connect";
  readonly frame: Buffer;
  /** Of the output; the pooler's own by default. */
  readonly capacity?: number;
  /** For pooler_route_query. */
  readonly expectations?: Expectations;
}

export interface BareCalls {
  create(frame: Buffer): bigint;
  destroy(state: bigint): void;
  route(state: bigint, frame: Buffer): void;
  learn(state: bigint, frame: Buffer): void;
  forget(state: bigint, statementId: number): void;
  hook(hook: SideHook, state: bigint, frame: Buffer): void;
}

export interface CallOptions {
  /** Of the output; the pooler's own by default. */
  readonly capacity?: number;
  /** How much longer the output's struct is than this version's, as with a later host. */
  readonly outputGrowth?: number;
  /** What the plugin is told; the frame's length by default. */
  readonly length?: number;
  /** Of the frame's first struct, pooler_input by default: it is there, whatever `length` says. */
  readonly headBytes?: number;
  readonly wellFormed: boolean;
}

export const smallestOutput = structs.pooler_output.size;
const usualOutput = 64 << 10;

/** The functions of a plugin, wherever they are. */
export interface Calls {
  readonly info: PluginInfo;
  has(symbol: string): boolean;
  bind(symbol: string): NativeCall;
}

/** `announce`: told which function is called next. */
export function createPluginUnderCheck(calls: Calls, announce: (symbol: string) => void): PluginUnderCheck {
  return new Opened(calls, announce);
}

export function openLibrary(path: string): Calls {
  const library = native().load(path);
  const bind = (symbol: string): NativeCall => {
    const [result, parameters] = signatures[symbol] ?? ["void", []];
    return library.func(symbol, result, [...parameters]);
  };
  const address: unknown = bind("pooler_plugin_info_v1")();
  return {
    info: readPluginInfo(typeof address === "bigint" ? address : 0n),
    bind,
    has(symbol) {
      try {
        library.symbol(symbol);
        return true;
      } catch {
        return false;
      }
    },
  };
}

const frames = ["void *", "uint32_t", "void *", "uint32_t"] as const;
const signatures: Readonly<Record<string, readonly [string, readonly string[]]>> = {
  pooler_plugin_info_v1: ["void *", []],
  pooler_create: ["int32_t", [...frames, "void *"]],
  pooler_destroy: ["void", ["void *"]],
  pooler_route_query: ["int32_t", ["void *", ...frames]],
  pooler_fetch_output: ["int32_t", ["void *", "void *", "uint32_t"]],
  pooler_learn_statement: ["int32_t", ["void *", ...frames]],
  pooler_forget_statement: ["void", ["void *", "uint64_t"]],
  ...Object.fromEntries(sideHooks.map((hook) => [`pooler_${hook}`, ["int32_t", ["void *", ...frames]]] as const)),
};

class Opened implements PluginUnderCheck {
  readonly info: PluginInfo;
  readonly bare: BareCalls;
  readonly #calls: Calls;
  readonly #bound = new Map<string, NativeCall>();
  readonly #announce: (symbol: string) => void;
  readonly #memory: GuardedMemory = createGuardedMemory();
  readonly mayWait: boolean;
  /** Made when it is first needed: it has much memory. */
  #atOnce: CallsAtOnce | null = null;

  constructor(calls: Calls, announce: (symbol: string) => void) {
    this.#announce = announce;
    this.#calls = calls;
    this.info = calls.info;
    this.mayWait = (calls.info.capabilities & constants.POOLER_CAP_BLOCKING) !== 0;
    this.bare = this.#bareCalls();
  }

  exports(symbol: string): boolean {
    return this.#calls.has(symbol);
  }

  infoAddress(): bigint {
    const address: unknown = this.#call("pooler_plugin_info_v1");
    return typeof address === "bigint" ? address : 0n;
  }

  create(frame: Buffer, { wellFormed, ...options }: CallOptions): { answer: Answer; state: bigint | null } {
    const state = new BigUint64Array(1);
    const placeOfState = native().address(state.buffer);
    const { status, out } = this.#withFrames(frame, options, (...args) => this.#call("pooler_create", ...args, placeOfState));
    const answer = judgeDone(status, out, wellFormed);
    return { answer, state: status === constants.POOLER_OK ? (state[0] ?? 0n) : null };
  }

  destroy(state: bigint): void {
    this.#call("pooler_destroy", state);
  }

  route(state: bigint, frame: Buffer, options: CallOptions & Expectations): Answer {
    const { status, out } = this.#answer("pooler_route_query", state, frame, options);
    return judgeRoute(status, out, options);
  }

  hook(hook: SideHook, state: bigint, frame: Buffer, options: CallOptions & HookExpectations): Answer {
    const { status, out } = this.#answer(`pooler_${hook}`, state, frame, options);
    return judgeHook(hook, status, out, options);
  }

  learn(state: bigint, frame: Buffer, { wellFormed, ...options }: CallOptions): Answer {
    const { status, out } = this.#withFrames(frame, options, (...args) => this.#call("pooler_learn_statement", state, ...args));
    if (status !== constants.POOLER_NOT_MINE) return judgeDone(status, out, wellFormed);
    return { ...judgeDone(constants.POOLER_OK, out, wellFormed), status, digest: "not mine" };
  }

  forget(state: bigint, statementId: number): void {
    this.#call("pooler_forget_statement", state, statementId);
  }

  async atOnce(state: bigint, calls: readonly WaitingCall[], meanwhile: () => void = () => {}): Promise<readonly Answer[]> {
    this.#atOnce ??= createCallsAtOnce({
      hasFetch: this.exports("pooler_fetch_output"),
      begin: (symbol) => {
        this.#announce(symbol);
        const { async: begin } = this.#bind(symbol);
        if (begin === undefined) throw new Error(`${symbol} cannot be called on another thread`);
        return begin;
      },
      fetch: (...args) => Number(this.#call("pooler_fetch_output", ...args)),
    });
    const returned = await this.#atOnce.run(
      state,
      calls.map(({ hook, frame, capacity = usualOutput }) => ({ symbol: `pooler_${hook}`, frame, capacity })),
      meanwhile,
    );
    return calls.map(({ hook, expectations }, index) => {
      const { status, out } = returned[index] as ReturnedCall;
      if (hook !== "route_query") return judgeHook(hook, status, out, { wellFormed: true });
      if (expectations === undefined) throw new Error("an answer to a question is judged by something");
      return judgeRoute(status, out, expectations);
    });
  }

  /** With what is fetched when there was too little space. */
  #answer(symbol: string, state: bigint, frame: Buffer, options: CallOptions): { readonly status: number; readonly out: OutputFrame } {
    const call = this.#withFrames(frame, options, (...args) => this.#call(symbol, state, ...args));
    if (call.status !== constants.POOLER_NEEDS_SPACE) return call;
    const needed = judgeNeeded(call.out, this.exports("pooler_fetch_output"));
    // One that may wait knows by it which of its answers is meant.
    const cookie = this.mayWait ? (BigInt(call.out.cookieHigh) << 32n) | BigInt(call.out.cookieLow) : 0n;
    const fetched = this.#withOutput(
      (needed + 7) & ~7,
      options.outputGrowth ?? 0,
      (...args) => this.#call("pooler_fetch_output", state, ...args),
      cookie,
    );
    if (fetched.status === constants.POOLER_NEEDS_SPACE) {
      throw breach(`pooler_fetch_output answered POOLER_NEEDS_SPACE again, with the ${needed} bytes that it wanted`);
    }
    if (this.mayWait) judgeFetched(fetched.status, fetched.out);
    return fetched;
  }

  #call(symbol: string, ...args: readonly unknown[]): unknown {
    this.#announce(symbol);
    return this.#bind(symbol)(...args);
  }

  #bind(symbol: string): NativeCall {
    const known = this.#bound.get(symbol);
    if (known !== undefined) return known;
    const bound = this.#calls.bind(symbol);
    this.#bound.set(symbol, bound);
    return bound;
  }

  #withFrames(
    frame: Buffer,
    {
      length = frame.length,
      headBytes = structs.pooler_input.size,
      capacity = usualOutput,
      outputGrowth = 0,
    }: Omit<CallOptions, "wellFormed">,
    call: (input: bigint, length: number, output: bigint, capacity: number) => unknown,
  ): { readonly status: number; readonly out: OutputFrame } {
    // A length may be less than the frame has: what is cut off is not there, unless it belongs to the first struct.
    const shownBytes = length < headBytes ? frame : frame.subarray(0, length);
    const input = this.#memory.placeInput(shownBytes);
    const made = this.#withOutput(capacity, outputGrowth, (output, room) => call(input.address, length, output, room));
    if (!input.bytes.equals(shownBytes)) {
      const at = input.bytes.findIndex((byte, index) => byte !== shownBytes[index]);
      throw breach(`it wrote into its input frame (byte ${at})`);
    }
    return made;
  }

  #withOutput(
    capacity: number,
    growth: number,
    call: (output: bigint, capacity: number) => unknown,
    cookie = 0n,
  ): { readonly status: number; readonly out: OutputFrame } {
    const output = this.#memory.placeOutput(capacity);
    const out = new OutputFrame(output.bytes.buffer as ArrayBuffer);
    out.clear();
    const size = smallestOutput + growth;
    output.bytes.fill(0, smallestOutput, size);
    output.bytes.writeUInt32LE(size);
    output.bytes.writeBigUInt64LE(cookie, structs.pooler_output.fields.cookie);
    const status = Number(call(output.address, capacity));
    const trespass = this.#memory.trespass();
    if (trespass !== null) throw breach(trespass);
    if (growth > 0) judgeGrownOutput(output.bytes, size);
    return { status, out };
  }

  /** Without judging anything and with memory that stays where it is, so that only the plugin allocates. */
  #bareCalls(): BareCalls {
    const output = new ArrayBuffer(usualOutput);
    const room = native().address(output);
    const header = new Uint32Array(output);
    const state = new BigUint64Array(1);
    const placeOfState = native().address(state.buffer);
    const addresses = new Map<Buffer, bigint>();
    const addressOf = (frame: Buffer): bigint => {
      const known = addresses.get(frame);
      if (known !== undefined) return known;
      const memory = new ArrayBuffer((frame.length + 7) & ~7);
      frame.copy(Buffer.from(memory));
      kept.push(memory);
      const address = native().address(memory);
      addresses.set(frame, address);
      return address;
    };
    const kept: ArrayBuffer[] = [output];
    const clear = (): void => {
      header.fill(0, 0, smallestOutput / 4);
      header[0] = smallestOutput;
    };
    return {
      create: (frame) => {
        clear();
        this.#bind("pooler_create")(addressOf(frame), frame.length, room, usualOutput, placeOfState);
        return state[0] ?? 0n;
      },
      destroy: (made) => {
        this.#bind("pooler_destroy")(made);
      },
      route: (made, frame) => {
        clear();
        this.#bind("pooler_route_query")(made, addressOf(frame), frame.length, room, usualOutput);
      },
      learn: (made, frame) => {
        clear();
        this.#bind("pooler_learn_statement")(made, addressOf(frame), frame.length, room, usualOutput);
      },
      forget: (made, statementId) => {
        this.#bind("pooler_forget_statement")(made, statementId);
      },
      hook: (hook, made, frame) => {
        clear();
        this.#bind(`pooler_${hook}`)(made, addressOf(frame), frame.length, room, usualOutput);
      },
    };
  }
}
