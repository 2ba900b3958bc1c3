// The OpenSSL that the node binary carries and exports, reached through koffi: names, types and constants, no policy.
import { native } from "../../base/native.js";
import { unavailable } from "./system.js";

/** A pointer as koffi gives it. */
export type Pointer = bigint | null;

export const Ssl = {
  ERROR_WANT_READ: 2,
  ERROR_WANT_WRITE: 3,
  ERROR_SYSCALL: 5,
  ERROR_ZERO_RETURN: 6,
  CTRL_EXTRA_CHAIN_CERT: 14,
  CTRL_MODE: 33,
  CTRL_SET_READ_AHEAD: 41,
  CTRL_SET_SESSION_CACHE_MODE: 44,
  CTRL_SET_HOST_NAME: 55,
  CTRL_SET_MIN_VERSION: 123,
  TLS_1_2: 0x0303,
  /** ENABLE_PARTIAL_WRITE, ACCEPT_MOVING_WRITE_BUFFER, AUTO_RETRY, RELEASE_BUFFERS. */
  MODES: 1 | 2 | 4 | 0x10,
  VERIFY_PEER: 1,
  VERIFY_FAIL_WITHOUT_CERTIFICATE: 2,
  OP_IGNORE_UNEXPECTED_EOF: 1 << 7,
  OP_NO_TICKET: 1 << 14,
  OP_NO_COMPRESSION: 1 << 17,
  OP_NO_RENEGOTIATION: 2 ** 30,
  NO_PARTIAL_WILDCARDS: 4,
  VERIFY_HOST_MISMATCH: 62,
  VERIFY_ADDRESS_MISMATCH: 64,
  NID_COMMON_NAME: 13,
} as const;

export interface OpenSsl {
  readonly serverMethod: () => Pointer;
  readonly clientMethod: () => Pointer;
  readonly newContext: (method: Pointer) => Pointer;
  readonly freeContext: (context: Pointer) => void;
  readonly controlContext: (context: Pointer, command: number, number: number, pointer: Pointer) => number;
  readonly setOptions: (context: Pointer, options: number) => void;
  readonly setTickets: (context: Pointer, count: number) => number;
  readonly setContextVerify: (context: Pointer, mode: number, callback: Pointer) => void;
  readonly useCertificate: (context: Pointer, certificate: Pointer) => number;
  readonly useKey: (context: Pointer, key: Pointer) => number;
  readonly checkKey: (context: Pointer) => number;
  readonly certificateStore: (context: Pointer) => Pointer;
  readonly addToStore: (store: Pointer, certificate: Pointer) => number;
  readonly addClientAuthority: (context: Pointer, certificate: Pointer) => number;
  readonly newMemory: (bytes: Buffer, sizeBytes: number) => Pointer;
  readonly freeMemory: (bio: Pointer) => void;
  readonly readCertificate: (bio: Pointer, out: Pointer, callback: Pointer, passphrase: Buffer) => Pointer;
  readonly readKey: (bio: Pointer, out: Pointer, callback: Pointer, passphrase: Buffer) => Pointer;
  readonly freeCertificate: (certificate: Pointer) => void;
  readonly freeKey: (key: Pointer) => void;
  readonly newSession: (context: Pointer) => Pointer;
  readonly freeSession: (session: Pointer) => void;
  readonly setDescriptor: (session: Pointer, fd: number) => number;
  readonly beServer: (session: Pointer) => void;
  readonly beClient: (session: Pointer) => void;
  readonly setHostName: (session: Pointer, command: number, type: number, name: string) => number;
  readonly parameters: (session: Pointer) => Pointer;
  readonly requireHost: (parameters: Pointer, host: string, length: number) => number;
  readonly requireAddress: (parameters: Pointer, address: string) => number;
  readonly setHostFlags: (parameters: Pointer, flags: number) => void;
  readonly peerCertificate: (session: Pointer) => Pointer;
  readonly subject: (certificate: Pointer) => Pointer;
  readonly nameText: (name: Pointer, nid: number, out: Buffer, sizeBytes: number) => number;
  readonly verifyResult: (session: Pointer) => number;
  readonly verifyText: (result: number) => string;
  readonly takeError: () => number;
  readonly errorText: (error: number, out: Buffer, sizeBytes: number) => void;
  readonly shutdown: (session: Pointer) => number;
  // Hot: sessions and memory as numbers.
  readonly clearErrors: () => void;
  readonly handshake: (session: number) => number;
  readonly read: (session: number, address: number, sizeBytes: number) => number;
  readonly write: (session: number, address: number, sizeBytes: number) => number;
  readonly outcome: (session: number, result: number) => number;
  readonly hasPending: (session: number) => number;
}

/** Throws NOT_SUPPORTED when this node binary does not export what is needed. */
export function loadOpenSsl(): OpenSsl {
  const self = native().load(null);
  try {
    return {
      serverMethod: self.func("void *TLS_server_method()"),
      clientMethod: self.func("void *TLS_client_method()"),
      newContext: self.func("void *SSL_CTX_new(void *)"),
      freeContext: self.func("void SSL_CTX_free(void *)"),
      controlContext: self.func("long SSL_CTX_ctrl(void *, int, long, void *)"),
      setOptions: self.func("uint64_t SSL_CTX_set_options(void *, uint64_t)"),
      setTickets: self.func("int SSL_CTX_set_num_tickets(void *, size_t)"),
      setContextVerify: self.func("void SSL_CTX_set_verify(void *, int, void *)"),
      useCertificate: self.func("int SSL_CTX_use_certificate(void *, void *)"),
      useKey: self.func("int SSL_CTX_use_PrivateKey(void *, void *)"),
      checkKey: self.func("int SSL_CTX_check_private_key(void *)"),
      certificateStore: self.func("void *SSL_CTX_get_cert_store(void *)"),
      addToStore: self.func("int X509_STORE_add_cert(void *, void *)"),
      addClientAuthority: self.func("int SSL_CTX_add_client_CA(void *, void *)"),
      newMemory: self.func("void *BIO_new_mem_buf(void *, int)"),
      freeMemory: self.func("int BIO_free(void *)"),
      readCertificate: self.func("void *PEM_read_bio_X509(void *, void *, void *, void *)"),
      readKey: self.func("void *PEM_read_bio_PrivateKey(void *, void *, void *, void *)"),
      freeCertificate: self.func("void X509_free(void *)"),
      freeKey: self.func("void EVP_PKEY_free(void *)"),
      newSession: self.func("void *SSL_new(void *)"),
      freeSession: self.func("void SSL_free(void *)"),
      setDescriptor: self.func("int SSL_set_fd(void *, int)"),
      beServer: self.func("void SSL_set_accept_state(void *)"),
      beClient: self.func("void SSL_set_connect_state(void *)"),
      setHostName: self.func("long SSL_ctrl(void *, int, long, const char *)"),
      parameters: self.func("void *SSL_get0_param(void *)"),
      requireHost: self.func("int X509_VERIFY_PARAM_set1_host(void *, const char *, size_t)"),
      requireAddress: self.func("int X509_VERIFY_PARAM_set1_ip_asc(void *, const char *)"),
      setHostFlags: self.func("void X509_VERIFY_PARAM_set_hostflags(void *, unsigned int)"),
      peerCertificate: self.func("void *SSL_get1_peer_certificate(void *)"),
      subject: self.func("void *X509_get_subject_name(void *)"),
      nameText: self.func("int X509_NAME_get_text_by_NID(void *, int, void *, int)"),
      verifyResult: self.func("long SSL_get_verify_result(void *)"),
      verifyText: self.func("const char *X509_verify_cert_error_string(long)"),
      takeError: self.func("unsigned long ERR_get_error()"),
      errorText: self.func("void ERR_error_string_n(unsigned long, void *, size_t)"),
      shutdown: self.func("int SSL_shutdown(void *)"),
      clearErrors: self.func("void ERR_clear_error()"),
      handshake: self.func("SSL_do_handshake", "int", ["uintptr_t"]),
      read: self.func("SSL_read", "int", ["uintptr_t", "uintptr_t", "int"]),
      write: self.func("SSL_write", "int", ["uintptr_t", "uintptr_t", "int"]),
      outcome: self.func("SSL_get_error", "int", ["uintptr_t", "int"]),
      hasPending: self.func("SSL_has_pending", "int", ["uintptr_t"]),
    };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw unavailable(`OpenSSL of this Node cannot be reached: ${reason}`, cause);
  }
}
