// Copies of a few bytes, as they come up for each message.

/** A short copy by hand is cheaper than a call, which makes an object for the range. */
const shortBytes = 128;

/** Copies source[start, end) to `at` in `target`, which has room for it. */
export function copyBytes(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): void {
  if (end - start < shortBytes) for (let i = start, to = at; i < end; i++) target[to++] = source[i] as number;
  else target.set(source.subarray(start, end), at);
}
