// koffi, set up once for the process. Whoever calls native code gets it here, because its stack can be set only before the
// first library is loaded. Knows nothing of what is called.
import koffi, { type KoffiFunc, type LibraryHandle } from "koffi";

/** Plugins parse SQL by recursion: koffi's own 2 MiB would be too little. */
const stackBytes = 8 << 20;

export type NativeLibrary = LibraryHandle;
export type NativeFunction<T extends (...args: never) => unknown> = KoffiFunc<T>;

/** Calls on threads run on as much; blocks for so many calls are kept, which is what koffi allows. More calls make and free theirs. */
const residentCalls = 32;
/** More than a worker ever makes at a time: see mostBlockingCalls in config/build-plugins.ts. */
const mostAsyncCalls = 1024;

/** koffi with its stack set. Throws when something else loaded a library before this was first called. */
export function native(): typeof koffi {
  if (koffi.config().sync_stack_size !== stackBytes) {
    koffi.config({
      sync_stack_size: stackBytes,
      async_stack_size: stackBytes,
      resident_async_pools: residentCalls,
      max_async_calls: mostAsyncCalls,
    });
  }
  return koffi;
}

/** End the process without a look at its threads: exit() would wait for those that are in a call. */
export function exitNow(code: number): void {
  native().load(null).func("_exit", "void", ["int"])(code);
}

/** Where a buffer's bytes are. Stable as long as the buffer is referenced and not transferred. */
export function addressOf(bytes: ArrayBuffer): bigint {
  return koffi.address(bytes);
}
