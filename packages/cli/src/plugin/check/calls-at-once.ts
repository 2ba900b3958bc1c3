// Calls of a plugin that may wait, on several threads at a time as the pooler makes them: each has guarded frames of its own, and
// answers that did not fit are fetched when all calls are over, the last one first.
import { OutputFrame } from "@pooler/core/plugin-tools";
import { constants, structs } from "@pooler/plugin-abi";
import { breach } from "./breach.js";
import { createGuardedMemory, type GuardedMemory } from "./guarded-memory.js";
import { judgeFetched, judgeNeeded } from "./judge-answer.js";

/** As many threads as the process of a check has for them: UV_THREADPOOL_SIZE. */
export const threads = 8;

export type ThreadedCall = (...args: readonly [...unknown[], done: (error: unknown, result: unknown) => void]) => void;

export interface CallAtOnce {
  readonly symbol: string;
  readonly frame: Buffer;
  /** Of the output. */
  readonly capacity: number;
}

export interface ReturnedCall {
  readonly status: number;
  readonly out: OutputFrame;
}

export interface CallsAtOnceOptions {
  readonly hasFetch: boolean;
  /** Begins a call on another thread. */
  begin(symbol: string): ThreadedCall;
  /** pooler_fetch_output, on this thread. */
  fetch(state: bigint, output: bigint, capacity: number): number;
}

export interface CallsAtOnce {
  /** `meanwhile` runs on this thread as soon as all have begun. At most as many as there are threads. */
  run(state: bigint, calls: readonly CallAtOnce[], meanwhile: () => void): Promise<readonly ReturnedCall[]>;
}

export function createCallsAtOnce(options: CallsAtOnceOptions): CallsAtOnce {
  return new Caller(options);
}

/** Frames of one call. */
class Slot {
  readonly #memory: GuardedMemory = createGuardedMemory();
  #given: Buffer = Buffer.alloc(0);
  #input: Buffer = Buffer.alloc(0);

  placeInput(frame: Buffer): bigint {
    const { address, bytes } = this.#memory.placeInput(frame);
    this.#given = frame;
    this.#input = bytes;
    return address;
  }

  placeOutput(capacity: number, cookie = 0n): { readonly address: bigint; readonly out: OutputFrame } {
    const { address, bytes } = this.#memory.placeOutput(capacity);
    const out = new OutputFrame(bytes.buffer as ArrayBuffer);
    out.clear();
    bytes.writeBigUInt64LE(cookie, structs.pooler_output.fields.cookie);
    return { address, out };
  }

  /** Throws a Breach. */
  check(): void {
    const trespass = this.#memory.trespass();
    if (trespass !== null) throw breach(trespass);
    if (!this.#input.equals(this.#given)) throw breach("it wrote into its input frame, or into that of another call");
  }
}

class Caller implements CallsAtOnce {
  readonly #options: CallsAtOnceOptions;
  readonly #slots = Array.from({ length: threads }, () => new Slot());

  constructor(options: CallsAtOnceOptions) {
    this.#options = options;
  }

  async run(state: bigint, calls: readonly CallAtOnce[], meanwhile: () => void): Promise<readonly ReturnedCall[]> {
    const running = calls.map(({ symbol, frame, capacity }, index) => {
      const slot = this.#slot(index);
      const input = slot.placeInput(frame);
      const { address, out } = slot.placeOutput(capacity);
      const begin = this.#options.begin(symbol);
      return new Promise<ReturnedCall>((resolve, reject) => {
        begin(state, input, frame.length, address, capacity, (error, status) => {
          if (error === null || error === undefined) resolve({ status: Number(status), out });
          else reject(error instanceof Error ? error : new Error("a call could not be made"));
        });
      });
    });
    try {
      meanwhile();
    } finally {
      // Whatever happened: nothing is freed under a call.
      await Promise.allSettled(running);
    }
    const returned = [...(await Promise.all(running))];
    for (let index = returned.length - 1; index >= 0; index--) {
      const call = returned[index] as ReturnedCall;
      const slot = this.#slot(index);
      slot.check();
      if (call.status === constants.POOLER_NEEDS_SPACE) returned[index] = this.#fetch(state, slot, call.out);
    }
    return returned;
  }

  #fetch(state: bigint, slot: Slot, first: OutputFrame): ReturnedCall {
    const needed = judgeNeeded(first, this.#options.hasFetch);
    const cookie = (BigInt(first.cookieHigh) << 32n) | BigInt(first.cookieLow);
    const capacity = (needed + 7) & ~7;
    const { address, out } = slot.placeOutput(capacity, cookie);
    const status = this.#options.fetch(state, address, capacity);
    slot.check();
    if (status === constants.POOLER_NEEDS_SPACE) {
      throw breach(`pooler_fetch_output answered POOLER_NEEDS_SPACE again, with the ${needed} bytes that it wanted`);
    }
    judgeFetched(status, out);
    return { status, out };
  }

  #slot(index: number): Slot {
    return this.#slots[index] as Slot;
  }
}
