// The bytes of a sockaddr as bind() takes them and getsockname() gives them, in the layouts of Linux and macOS.
import { isIPv4, isIPv6 } from "node:net";
import { endianness } from "node:os";
import { invariant, PoolerError } from "../base/errors.js";

export type SocketAddress =
  | { readonly family: "ipv4"; readonly host: string; readonly port: number }
  /** scope: number of the interface of a link-local address, 0 otherwise. */
  | { readonly family: "ipv6"; readonly host: string; readonly port: number; readonly scope: number }
  | { readonly family: "unix"; readonly path: string };

/** What differs between the systems: BSD's layouts begin with a length byte, and the constants are others. */
export interface SocketPlatform {
  readonly lengthByte: boolean;
  readonly familyInet6: number;
  readonly unixPathBytes: number;
  readonly solSocket: number;
  readonly soReuseAddr: number;
  readonly ipv6Only: number;
  readonly nonBlock: number;
}

export const socketPlatforms: Readonly<Record<"linux" | "darwin", SocketPlatform>> = {
  linux: { lengthByte: false, familyInet6: 10, unixPathBytes: 108, solSocket: 1, soReuseAddr: 2, ipv6Only: 26, nonBlock: 0x800 },
  darwin: { lengthByte: true, familyInet6: 30, unixPathBytes: 104, solSocket: 0xffff, soReuseAddr: 4, ipv6Only: 27, nonBlock: 0x4 },
};

export const familyUnix = 1;
export const familyInet = 2;

export function familyNumber(address: SocketAddress, platform: SocketPlatform): number {
  return { ipv4: familyInet, ipv6: platform.familyInet6, unix: familyUnix }[address.family];
}

export function encodeSocketAddress(address: SocketAddress, platform: SocketPlatform): Buffer {
  switch (address.family) {
    case "ipv4": {
      // family(2) port(2, network order) address(4) zero(8)
      const bytes = withFamily(16, familyInet, platform);
      bytes.writeUInt16BE(address.port, 2);
      bytes.set(ipv4Bytes(address.host), 4);
      return bytes;
    }
    case "ipv6": {
      // family(2) port(2, network order) flow(4) address(16) scope(4)
      const bytes = withFamily(28, platform.familyInet6, platform);
      bytes.writeUInt16BE(address.port, 2);
      bytes.set(ipv6Bytes(address.host), 8);
      writeNative(bytes, address.scope, 24, 4);
      return bytes;
    }
    case "unix": {
      // family(2) path, NUL-terminated
      const path = Buffer.from(address.path);
      if (path.length >= platform.unixPathBytes) {
        throw new PoolerError(
          "IO",
          `the socket path ${address.path} is too long: ${path.length} bytes, ${platform.unixPathBytes - 1} are possible`,
          {
            hint: "Set listen.host to a directory with a shorter path.",
          },
        );
      }
      const bytes = withFamily(2 + path.length + 1, familyUnix, platform);
      bytes.set(path, 2);
      return bytes;
    }
  }
}

/** The port of an IPv4 or IPv6 sockaddr. */
export function decodePort(bytes: Buffer): number {
  return bytes.readUInt16BE(2);
}

export function ipv4Bytes(host: string): Uint8Array {
  invariant(isIPv4(host), `not an IPv4 address: ${host}`);
  return Uint8Array.from(host.split(".").map(Number));
}

export function ipv6Bytes(host: string): Uint8Array {
  const address = host.split("%")[0] ?? "";
  invariant(isIPv6(address), `not an IPv6 address: ${host}`);
  const [left = "", right] = address.split("::");
  const head = groupBytes(left);
  const tail = groupBytes(right ?? "");
  const bytes = new Uint8Array(16);
  bytes.set(head, 0);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** "1:2:127.0.0.1" → eight bytes. */
function groupBytes(groups: string): number[] {
  if (groups === "") return [];
  return groups.split(":").flatMap((group) => {
    if (group.includes(".")) return [...ipv4Bytes(group)];
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

function withFamily(sizeBytes: number, family: number, platform: SocketPlatform): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  if (platform.lengthByte) {
    bytes.writeUInt8(sizeBytes, 0);
    bytes.writeUInt8(family, 1);
  } else {
    writeNative(bytes, family, 0, 2);
  }
  return bytes;
}

function writeNative(bytes: Buffer, value: number, offset: number, size: number): void {
  if (endianness() === "LE") bytes.writeUIntLE(value, offset, size);
  else bytes.writeUIntBE(value, offset, size);
}
