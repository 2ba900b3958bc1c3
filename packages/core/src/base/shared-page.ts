// One page of memory that several processes see: a descriptor that they inherit, mapped where they want to read or write it
// without a system call. It outlives every one of them but the one that made it.
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmdirSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PoolerError } from "./errors.js";
import { native } from "./native.js";

export const sharedPageBytes = 4096;

/** A descriptor to inherit. Nothing of it stays in the file system. */
export function createSharedPage(): number {
  const folder = mkdtempSync(join(tmpdir(), "pooler-"));
  const path = join(folder, "page");
  try {
    const fd = openSync(path, "wx+", 0o600);
    try {
      unlinkSync(path);
      ftruncateSync(fd, sharedPageBytes);
    } catch (cause) {
      closeSync(fd);
      throw cause;
    }
    return fd;
  } finally {
    rmdirSync(folder);
  }
}

/** The page behind an inherited descriptor. */
export function mapSharedPage(fd: number): ArrayBuffer {
  const koffi = native();
  const mmap = koffi.load(null).func("mmap", "void *", ["void *", "size_t", "int", "int", "int", "int64_t"]);
  const readAndWrite = 3;
  const shared = 1;
  const address: unknown = mmap(null, sharedPageBytes, readAndWrite, shared, fd, 0);
  // MAP_FAILED is (void *) -1.
  if (typeof address !== "bigint" || address === 0xffff_ffff_ffff_ffffn) {
    throw new PoolerError("IO", `cannot map the shared page on descriptor ${fd} (errno ${koffi.errno()})`);
  }
  return koffi.view(address, sharedPageBytes);
}
