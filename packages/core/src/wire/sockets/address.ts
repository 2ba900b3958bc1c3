// The bytes of a Linux sockaddr: made for connect(), read after accept4(). Knows nothing of sockets.
import { isIPv4 } from "node:net";
import { PoolerError } from "../../base/errors.js";
import { native } from "../../base/native.js";
import { unavailable } from "./system.js";

export const Family = { UNIX: 1, INET: 2, INET6: 10 } as const;

/** Room for any of them: sizeof(struct sockaddr_storage). */
export const addressBytes = 128;
const unixPathBytes = 108;

export interface PeerAddress {
  /** "unix" for a Unix-domain socket. */
  readonly host: string;
  readonly port: number;
}

export interface EncodedAddress {
  readonly family: number;
  readonly bytes: Buffer;
  /** For messages: 127.0.0.1:5432, [::1]:5432, or the path. */
  readonly text: string;
  readonly peer: PeerAddress;
}

export interface AddressCodec {
  /** `host` is an IPv4 or IPv6 address, with its zone where it needs one ("fe80::1%eth0"). */
  encode(host: string, port: number): EncodedAddress;
  encodePath(path: string): EncodedAddress;
  decode(bytes: Buffer): PeerAddress;
}

/** Clients come from few machines: one text serves all connections of each. */
const mostHosts = 1_024;

/** libuv's, since they know zones. */
function addressFunctions() {
  try {
    const self = native().load(null);
    return {
      encode4: self.func("int uv_ip4_addr(const char *, int, void *)"),
      encode6: self.func("int uv_ip6_addr(const char *, int, void *)"),
      decode6: self.func("int uv_ip6_name(const void *, void *, size_t)"),
    };
  } catch (cause) {
    throw unavailable(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** Throws NOT_SUPPORTED when this node binary does not export what is needed. */
export function createAddressCodec(): AddressCodec {
  const { encode4, encode6, decode6 } = addressFunctions();
  const text = Buffer.alloc(64);
  const hosts = new Map<number | string, string>();
  const remember = (key: number | string, host: string): string => {
    if (hosts.size >= mostHosts) hosts.clear();
    hosts.set(key, host);
    return host;
  };
  const hostOfV4 = (bytes: Buffer): string => {
    const key = bytes.readUInt32BE(4);
    return hosts.get(key) ?? remember(key, `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}`);
  };
  return {
    encode(host, port) {
      const v4 = isIPv4(host);
      const bytes = Buffer.alloc(v4 ? 16 : 28);
      if ((v4 ? encode4 : encode6)(host, port, bytes) !== 0) throw new PoolerError("HOST_DOWN", `"${host}" is no address`);
      return {
        family: v4 ? Family.INET : Family.INET6,
        bytes,
        text: v4 ? `${host}:${port}` : `[${host}]:${port}`,
        peer: { host, port },
      };
    },
    encodePath(path) {
      const name = Buffer.from(path);
      if (name.length >= unixPathBytes) {
        throw new PoolerError("HOST_DOWN", `the socket path ${path} is too long: ${name.length} bytes, ${unixPathBytes - 1} are possible`);
      }
      const bytes = Buffer.alloc(2 + name.length + 1);
      bytes.writeUInt16LE(Family.UNIX, 0);
      bytes.set(name, 2);
      return { family: Family.UNIX, bytes, text: path, peer: { host: "unix", port: 0 } };
    },
    decode(bytes) {
      switch (bytes.readUInt16LE(0)) {
        case Family.INET:
          return { host: hostOfV4(bytes), port: bytes.readUInt16BE(2) };
        case Family.INET6: {
          decode6(bytes, text, text.length);
          const host = text.toString("latin1", 0, text.indexOf(0));
          return { host: hosts.get(host) ?? remember(host, host), port: bytes.readUInt16BE(2) };
        }
        case Family.UNIX:
          return { host: "unix", port: 0 };
        default:
          // Nothing is known: it must not pass for a connection from this machine.
          return { host: "unknown", port: 0 };
      }
    },
  };
}
