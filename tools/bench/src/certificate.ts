// A certificate of a few days for the measurements with TLS, signed by itself. Made by the openssl command.
import { execFileSync } from "node:child_process";
import { chmodSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BenchError } from "./bench-error.js";

export interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  /** PEM. */
  readonly certificate: string;
  /** PEM. */
  readonly privateKey: string;
}

export function createCertificate(directory: string): CertificateFiles {
  const certificateFile = join(directory, "certificate.pem");
  const keyFile = join(directory, "key.pem");
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  try {
    execFileSync(
      "openssl",
      ["req", "-x509", ...curve, "-subj", "/CN=localhost", "-days", "7", "-keyout", keyFile, "-out", certificateFile],
      { stdio: "ignore" },
    );
  } catch (cause) {
    throw new BenchError("Measuring TLS needs a certificate, and the openssl command could not make one. Is it installed?", { cause });
  }
  // It protects nothing, and peers may run as another user.
  chmodSync(keyFile, 0o644);
  return {
    certificateFile,
    keyFile,
    certificate: readFileSync(certificateFile, "utf8"),
    privateKey: readFileSync(keyFile, "utf8"),
  };
}
