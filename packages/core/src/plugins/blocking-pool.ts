// Calls of one plugin that may wait: on threads, at most so many at a time, each with frames of its own. Who asks hears of the answer, or of
// the deadline when that comes first; the call then goes on and keeps its place. Knows nothing of what is asked and answered.
import { constants } from "@pooler/plugin-abi";
import type { Clock, Timer } from "../base/clock.js";
import { addressOf } from "../base/native.js";
import type { BlockingLimits, HookFunction, LoadedPlugin, WaitingFunction, WaitingHook } from "./chain-plugin.js";
import { type CrashPage, crashHooks } from "./crash-page.js";
import { fetchOutput } from "./fetch-output.js";
import { OutputFrame } from "./frames-output.js";

/** What became of a call. */
export type BlockingAnswer =
  /** `output` is a copy of what the plugin wrote, for OutputFrame.load(). */
  | { readonly kind: "returned"; readonly status: number; readonly output: Uint8Array; readonly elapsedMs: number }
  /** It returned what cannot be read: why, in words. */
  | { readonly kind: "broken"; readonly failure: string; readonly elapsedMs: number }
  /** The deadline came first. */
  | { readonly kind: "late" };

/** A call that runs. */
export interface BlockingCall {
  /** Nobody wants to hear of it any more. It goes on. */
  drop(): void;
}

/** What is called with: an input frame, which is copied. */
export interface FrameSource {
  readonly written: Uint8Array;
}

export interface BlockingCounts {
  /** Calls that run now. */
  readonly running: number;
  /** ... beyond their deadline. */
  readonly stuck: number;
  /** Calls that the deadline came before. */
  readonly timeouts: number;
  /** Questions that were refused since all places were taken. */
  readonly overloads: number;
}

export interface BlockingPool extends BlockingCounts {
  readonly limits: BlockingLimits;
  /** Since when all places are taken by calls beyond their deadline, by the clock's nowMs(), and one of them; null: some are not. */
  readonly stuckSince: { readonly atMs: number; readonly hook: WaitingHook } | null;
  /** `statementId`: the statement that the call names, 0 for none. Null: all places are taken. `done` is called once, never within this call. */
  ask(hook: WaitingHook, input: FrameSource, statementId: number, done: (answer: BlockingAnswer) => void): BlockingCall | null;
  /** A statement is gone: `forget` is called when no call names it any more, which may be within this call. */
  forget(statementId: number, forget: (statementId: number) => void): void;
}

export interface BlockingPoolOptions {
  readonly plugin: LoadedPlugin;
  readonly limits: BlockingLimits;
  /** Of the plugin in the configuration, from 0. */
  readonly position: number;
  readonly page: CrashPage;
  readonly clock: Clock;
}

export function createBlockingPool(options: BlockingPoolOptions): BlockingPool {
  return new Pool(options);
}

const initialInputBytes = 16 << 10;
/** An input that grew beyond this is dropped when its call is over. */
const keptInputBytes = 1 << 20;

/** A place with its frames. Nothing of it is freed or written to while the call runs. */
class Place implements BlockingCall {
  readonly number: number;
  readonly output = new OutputFrame();
  input = new ArrayBuffer(initialInputBytes);
  inputAddress = addressOf(this.input);
  hook: WaitingHook = "route_query";
  statementId = 0;
  beganMs = 0;
  late = false;
  timer: Timer | null = null;
  done: ((answer: BlockingAnswer) => void) | null = null;

  constructor(number: number) {
    this.number = number;
  }

  fill(bytes: Uint8Array): void {
    if (bytes.length > this.input.byteLength) this.#resize(bytes.length);
    new Uint8Array(this.input).set(bytes);
  }

  trim(): void {
    this.output.trim();
    if (this.input.byteLength > keptInputBytes) this.#resize(initialInputBytes);
  }

  drop(): void {
    this.done = null;
  }

  #resize(bytes: number): void {
    this.input = new ArrayBuffer((bytes + 7) & ~7);
    this.inputAddress = addressOf(this.input);
  }
}

class Pool implements BlockingPool {
  readonly limits: BlockingLimits;
  running = 0;
  stuck = 0;
  timeouts = 0;
  overloads = 0;
  readonly #options: BlockingPoolOptions;
  readonly #places: Place[] = [];
  readonly #free: Place[] = [];
  /** How many calls name a statement. */
  readonly #named = new Map<number, number>();
  readonly #toForget = new Map<number, (statementId: number) => void>();
  #stuckSinceMs = 0;

  constructor(options: BlockingPoolOptions) {
    this.#options = options;
    this.limits = options.limits;
  }

  get stuckSince(): { readonly atMs: number; readonly hook: WaitingHook } | null {
    if (this.stuck < this.limits.maxConcurrent) return null;
    return { atMs: this.#stuckSinceMs, hook: (this.#places[0] as Place).hook };
  }

  ask(hook: WaitingHook, input: FrameSource, statementId: number, done: (answer: BlockingAnswer) => void): BlockingCall | null {
    const place = this.#take();
    if (place === null) {
      this.overloads++;
      return null;
    }
    const { plugin, page, clock, position } = this.#options;
    const bytes = input.written;
    place.fill(bytes);
    place.output.clear();
    place.hook = hook;
    place.done = done;
    place.late = false;
    place.statementId = statementId;
    place.beganMs = clock.nowMs();
    if (statementId !== 0) this.#named.set(statementId, (this.#named.get(statementId) ?? 0) + 1);
    place.timer = clock.setTimer(this.limits.deadlineMs, () => this.#onDeadline(place)).unref();
    this.running++;
    page.enterPlace(place.number, position, crashHooks[hook]);
    const { output } = place;
    waitingFunction(plugin, hook).async(plugin.state, place.inputAddress, bytes.length, output.address, output.capacity, (error, status) =>
      this.#onReturn(place, error, status),
    );
    return place;
  }

  forget(statementId: number, forget: (statementId: number) => void): void {
    if (this.#named.has(statementId)) this.#toForget.set(statementId, forget);
    else forget(statementId);
  }

  #take(): Place | null {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const { maxConcurrent, firstPlace } = this.limits;
    if (this.#places.length >= maxConcurrent) return null;
    const made = new Place(firstPlace + this.#places.length);
    this.#places.push(made);
    return made;
  }

  #onDeadline(place: Place): void {
    place.late = true;
    this.timeouts++;
    this.stuck++;
    if (this.stuck === this.limits.maxConcurrent) this.#stuckSinceMs = this.#options.clock.nowMs();
    const { done } = place;
    place.done = null;
    done?.({ kind: "late" });
  }

  #onReturn(place: Place, error: Error | null, status: number): void {
    const { page, clock } = this.#options;
    page.leavePlace(place.number);
    place.timer?.cancel();
    place.timer = null;
    this.running--;
    if (place.late) this.stuck--;
    this.#letGo(place.statementId);
    const answer = this.#answerOf(place, error, status, clock.nowMs() - place.beganMs);
    const { done } = place;
    place.done = null;
    place.trim();
    this.#free.push(place);
    done?.(answer);
  }

  #answerOf(place: Place, error: Error | null, status: number, elapsedMs: number): BlockingAnswer {
    const { plugin, page, position } = this.#options;
    const { output } = place;
    if (error !== null) return { kind: "broken", failure: `it could not be called: ${error.message}`, elapsedMs };
    let final = status;
    // Also when nobody waits for it: the plugin keeps such an answer until it is fetched.
    if (status === constants.POOLER_NEEDS_SPACE) {
      const fetched = fetchOutput(plugin, position, page, output, true);
      if (typeof fetched === "string") return { kind: "broken", failure: fetched, elapsedMs };
      final = fetched;
    }
    const copy = place.done === null ? noOutput : output.copy();
    if (copy === null)
      return { kind: "broken", failure: "its answer is malformed: it says that it used more than the frame has", elapsedMs };
    return { kind: "returned", status: final, output: copy, elapsedMs };
  }

  #letGo(statementId: number): void {
    if (statementId === 0) return;
    const count = (this.#named.get(statementId) ?? 1) - 1;
    if (count > 0) {
      this.#named.set(statementId, count);
      return;
    }
    this.#named.delete(statementId);
    const forget = this.#toForget.get(statementId);
    this.#toForget.delete(statementId);
    forget?.(statementId);
  }
}

const noOutput = new Uint8Array(0);

/** The loader binds them so: see LoadedPlugin.blocking. */
function waitingFunction({ exports }: LoadedPlugin, hook: WaitingHook): WaitingFunction {
  const bound: HookFunction | null = hook === "route_query" ? exports.routeQuery : exports.hooks[hook];
  return bound as WaitingFunction;
}
