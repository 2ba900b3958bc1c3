// koffi, set up once for the process. Whoever calls native code gets it here, because its stack can be set only before the
// first library is loaded. Knows nothing of what is called.
import koffi, { type KoffiFunc, type LibraryHandle } from "koffi";

/** Plugins parse SQL by recursion: koffi's own 2 MiB would be too little. */
const stackBytes = 8 << 20;

export type NativeLibrary = LibraryHandle;
export type NativeFunction<T extends (...args: never) => unknown> = KoffiFunc<T>;

/** koffi with its stack set. Throws when something else loaded a library before this was first called. */
export function native(): typeof koffi {
  if (koffi.config().sync_stack_size !== stackBytes) koffi.config({ sync_stack_size: stackBytes });
  return koffi;
}

/** Where a buffer's bytes are. Stable as long as the buffer is referenced and not transferred. */
export function addressOf(bytes: ArrayBuffer): bigint {
  return koffi.address(bytes);
}
