// Linux's socket calls, epoll and libuv's poll handle, reached through koffi in the node binary itself. Addresses of memory are
// plain numbers here: user space ends far below 2^53, and a number costs no object where a BigInt would. Knows nothing of wires.
import { getSystemErrorName } from "node:util";
import { isMainThread } from "node:worker_threads";
import { PoolerError } from "../../base/errors.js";
import { addressOf, native } from "../../base/native.js";

export const Epoll = { IN: 0x001, OUT: 0x004, ERR: 0x008, HUP: 0x010, EXCLUSIVE: 1 << 28 } as const;
export const EpollControl = { ADD: 1, DELETE: 2, MODIFY: 3 } as const;

/** Linux numbers them the same on x64 and arm64. */
export const Errno = {
  EINTR: 4,
  EAGAIN: 11,
  ENOMEM: 12,
  ENFILE: 23,
  EMFILE: 24,
  EPIPE: 32,
  EPROTO: 71,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ETIMEDOUT: 110,
  EINPROGRESS: 115,
} as const;

const socketStream = 1;
const socketFlags = 0x800 | 0x80000; // SOCK_NONBLOCK | SOCK_CLOEXEC
/** A peer that is gone is an error, not a signal. */
export const noSignal = 0x4000;
const statusFlagsGet = 3;
const statusFlagsSet = 4;
const nonBlock = 0x800;
const levelSocket = 1;
const optionError = 4;
const optionKeepAlive = 9;
const levelTcp = 6;
const optionNoDelay = 1;
/** Keepalive that finds a peer whose machine is gone within two minutes: first probe after 60 s, six more every 10 s. */
const keepAliveTimes: readonly (readonly [option: number, value: number])[] = [
  [4, 60],
  [5, 10],
  [6, 6],
];

/** What libuv calls when the descriptor that it polls is readable. */
const uvPollKind = 8;
export const uvReadable = 1;

export interface System {
  recv(fd: number, address: number, sizeBytes: number, flags: number): number;
  send(fd: number, address: number, sizeBytes: number, flags: number): number;
  accept(fd: number, address: Buffer, addressLength: Buffer): number;
  connect(fd: number, address: Buffer, sizeBytes: number): number;
  close(fd: number): number;
  epollCreate(): number;
  epollControl(epoll: number, operation: number, fd: number, event: Buffer): number;
  epollWait(epoll: number, address: number, mostEvents: number, timeoutMs: number): number;
  /** Of the call before. */
  errno(): number;
  /** A non-blocking socket that no child inherits; negative: see errno(). */
  socket(family: number): number;
  setNonBlocking(fd: number): void;
  setTcpOptions(fd: number): void;
  /** The outcome of a non-blocking connect, 0 or an errno. */
  takeError(fd: number): number;
  /** Lets Node's own loop watch a descriptor for the rest of the process's life. */
  watchFromLoop(fd: number, onReadable: () => void): LoopWatch;
}

export interface LoopWatch {
  /** Does the watch keep the process alive? */
  hold(on: boolean): void;
}

/** Where the bytes of a buffer begin. Stable as long as the buffer is referenced and not transferred. */
export function addressOfBuffer(buffer: Buffer): number {
  return Number(addressOf(buffer.buffer as ArrayBuffer)) + buffer.byteOffset;
}

export function systemError(call: string, errno: number, where = ""): PoolerError {
  const name = getSystemErrorName(-errno);
  return new PoolerError("IO", `${call} ${name}${where === "" ? "" : ` ${where}`}`, { cause: name });
}

/** Throws NOT_SUPPORTED with the reason where these calls are not to be had. */
export function loadSystem(): System {
  const supported = process.platform === "linux" && (process.arch === "x64" || process.arch === "arm64");
  if (!supported) throw unavailable(`it is made for Linux on x64 and arm64, not for ${process.platform} on ${process.arch}`);
  // uv_default_loop() is the main thread's: another one would have its callbacks run in the wrong place.
  if (!isMainThread) throw unavailable("it works on the main thread only");
  try {
    return bind();
  } catch (cause) {
    throw unavailable(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

export function unavailable(reason: string, cause?: unknown): PoolerError {
  return new PoolerError("NOT_SUPPORTED", `the sockets engine does not work here: ${reason}`, {
    hint: 'Set io = "auto" or io = "streams".',
    cause,
  });
}

function bind(): System {
  const koffi = native();
  const self = koffi.load(null);
  const setOption = self.func("int setsockopt(int, int, int, const void *, uint32_t)");
  const getOption = self.func("int getsockopt(int, int, int, void *, void *)");
  const createSocket = self.func("int socket(int, int, int)");
  const control = self.func("int fcntl(int, int, ...)");
  const accept4 = self.func("int accept4(int, void *, void *, int)");
  const epollCreate1 = self.func("int epoll_create1(int)");
  const uv = {
    loop: self.func("void *uv_default_loop()"),
    handleSize: self.func("size_t uv_handle_size(int)"),
    init: self.func("int uv_poll_init(void *, void *, int)"),
    start: self.func("uv_poll_start", "int", ["void *", "int", "void *"]),
    stop: self.func("int uv_poll_stop(void *)"),
    ref: self.func("void uv_ref(void *)"),
    unref: self.func("void uv_unref(void *)"),
    allocate: self.func("void *calloc(size_t, size_t)"),
  };
  const onPoll = koffi.proto("void", ["void *", "int", "int"]);
  const value = Buffer.alloc(4);
  const length = Buffer.alloc(4);
  const setNumber = (fd: number, level: number, option: number, number: number): void => {
    value.writeInt32LE(number);
    setOption(fd, level, option, value, value.length);
  };
  return {
    recv: self.func("recv", "int", ["int", "uintptr_t", "size_t", "int"]),
    send: self.func("send", "int", ["int", "uintptr_t", "size_t", "int"]),
    accept: (fd, address, addressLength) => Number(accept4(fd, address, addressLength, socketFlags)),
    connect: self.func("int connect(int, const void *, uint32_t)"),
    close: self.func("int close(int)"),
    epollCreate: () => Number(epollCreate1(0x80000)),
    epollControl: self.func("int epoll_ctl(int, int, int, const void *)"),
    epollWait: self.func("epoll_wait", "int", ["int", "uintptr_t", "int", "int"]),
    errno: () => koffi.errno(),
    socket: (family) => Number(createSocket(family, socketStream | socketFlags, 0)),
    setNonBlocking(fd) {
      control(fd, statusFlagsSet, "int", Number(control(fd, statusFlagsGet, "int", 0)) | nonBlock);
    },
    setTcpOptions(fd) {
      setNumber(fd, levelTcp, optionNoDelay, 1);
      setNumber(fd, levelSocket, optionKeepAlive, 1);
      for (const [option, number] of keepAliveTimes) setNumber(fd, levelTcp, option, number);
    },
    takeError(fd) {
      length.writeInt32LE(value.length);
      if (getOption(fd, levelSocket, optionError, value, length) !== 0) return koffi.errno();
      return value.readInt32LE();
    },
    watchFromLoop(fd, onReadable) {
      // libuv keeps the raw pointers of handle and callback: the first is never freed, the second stays registered.
      const handle: unknown = uv.allocate(1, uv.handleSize(uvPollKind));
      const callback = koffi.register(onReadable, koffi.pointer(onPoll));
      const status = Number(uv.init(uv.loop(), handle, fd)) || Number(uv.start(handle, uvReadable, callback));
      if (status !== 0) throw new PoolerError("IO", `uv_poll failed with ${getSystemErrorName(status)}`);
      uv.unref(handle);
      // No call may come once JavaScript is torn down.
      process.once("exit", () => uv.stop(handle));
      return { hold: (on) => void (on ? uv.ref(handle) : uv.unref(handle)) };
    },
  };
}
