import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { tlsServerEndPoint } from "./channel-binding.js";

/** Self-signed certificates by their signature: made with `openssl req -x509 -subj /CN=x`. */
const certificates = {
  "ECDSA with SHA-256":
    "MIIBbjCCAROgAwIBAgIUMzpz1bEhyjjnhBQzJN1Mpk41xa8wCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBeDAeFw0yNjExMjExMjI0MDJaFw0zNjExMTgxMjI0MDJaMAwxCjAIBgNVBAMMAXgwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQmIjOT8ooZKkZKr1iodxh/LfIT2gUe9+Hp9HZl/QAXMblbtTvmd1m8VQMzo6dHg9zX7nxpMmFDzuAe8Br3EDAEo1MwUTAdBgNVHQ4EFgQUefen5avcE9n3C65LRcbOoJeHWbIwHwYDVR0jBBgwFoAUefen5avcE9n3C65LRcbOoJeHWbIwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEA4eU6CYfPPKJh5qfcjo3ASwAhSNMsHLj/T6BXrhwZ6DACIQDlpgQUbysP689XjrkjPEqzA/JsmjDAgeO/Yir4UaWqnA==",
  "ECDSA with SHA-384":
    "MIIBbTCCAROgAwIBAgIUWBKXMRRudX+G/bJgO9rJg7DKIKswCgYIKoZIzj0EAwMwDDEKMAgGA1UEAwwBeDAeFw0yNjExMjExMjI0MDJaFw0zNjExMTgxMjI0MDJaMAwxCjAIBgNVBAMMAXgwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQlDCzDjWFMZ69RNIXQ50lXDimislMFmT1GTlgjAIuBM/D0a1FZ1d2UwkT4Zic9SuCKNPu9cVeOcKxvosE48cDgo1MwUTAdBgNVHQ4EFgQUJItDtfuFjuxYGyFWB8SPSXR8570wHwYDVR0jBBgwFoAUJItDtfuFjuxYGyFWB8SPSXR8570wDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAwNIADBFAiEAlQicxdj7qa8dXP0mIeUEj1JJHS3V7U13SlhV8wOS96UCICjEvIE+QxSlVDsKgpN+nzK8le0cVaVazTZXLi/zC3hV",
  "ECDSA with SHA-512":
    "MIIBbDCCAROgAwIBAgIUV8ZO6qLkH4Yw1bgyr9F7nk/s3fAwCgYIKoZIzj0EAwQwDDEKMAgGA1UEAwwBeDAeFw0yNjExMjExMjI0MDJaFw0zNjExMTgxMjI0MDJaMAwxCjAIBgNVBAMMAXgwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARgKnsq+55be9O9kXA9mM/6o2epop/tLLVyJkTkBxkpXVAtC+OcmUcPfhLJ2ULzP/xHLI1GqaHF/QAoI6nLPUfro1MwUTAdBgNVHQ4EFgQUCjw/5xaOaGUuLqDctkp4OD7yiZAwHwYDVR0jBBgwFoAUCjw/5xaOaGUuLqDctkp4OD7yiZAwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDBANHADBEAiApma2aCljJJuLAchX7832gnbPavsScc9mpu4KqCq9yaAIgdBQ+WeLCfU9tISLSYPGHq5uOt4dgw2uue+PBhPLrqsU=",
  "RSA with SHA-1":
    "MIIB9DCCAV2gAwIBAgIUHD5w8ihjugftf4j1iNUb/mqh9JgwDQYJKoZIhvcNAQEFBQAwDDEKMAgGA1UEAwwBeDAeFw0yNjExMjExMjI0MDJaFw0yNjEyMjExMjI0MDJaMAwxCjAIBgNVBAMMAXgwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGBAOG+Esed0KYMEUxT8CN77hMQfOhmGawKrW/nchIJ7xnq/7DTacq2IccCrnFrRM09vlSmJ/IGhenMcZJ7u02pjdZppCy/p2tjH4VyCSbzWDGLm1MTUNVzhhUCq1E63WaihuNCDdhlGnYRR42pq1DCyJNppkjJKxwh7Rq8RRFdWZwnAgMBAAGjUzBRMB0GA1UdDgQWBBTUDZK5UmastQ5yC05uT2GXXPjk0DAfBgNVHSMEGDAWgBTUDZK5UmastQ5yC05uT2GXXPjk0DAPBgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBBQUAA4GBAFHKupBqauchOI8l7MEDTMiqeJBbzMr81fqyS6Guu6gTu7p/luw4uBjy5cLQaHnVqGKm34VTIHjiip2P0ohMPm4+cu7p8Xs2G/JuGVdlFn3ZiZGrIbnwiyPpcANEI4lnFp0Iuos3Vsymog4WHNla1i9np7dkrnmcEcG76VhsK1WO",
  "RSA with SHA-384":
    "MIIB9DCCAV2gAwIBAgIUQTlzfoHj/YrccTepcwoADtJPZd0wDQYJKoZIhvcNAQEMBQAwDDEKMAgGA1UEAwwBeDAeFw0yNjExMjExMjI0MDJaFw0yNjEyMjExMjI0MDJaMAwxCjAIBgNVBAMMAXgwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGBAMR8aJXTLe3YnQvmBhwUmgzskGQFf4Vv+yTZlH5uGZ70L45yFeb2yTU1FsK5CGqPs1+9BX5U58WMaOuVUVbFTZd5f5/MKaA2l91WtfpOSrbjENNsZ9KuHcNAs1DQeKqu6FWuHmk7aZyRUNumsTa/KPZJNrGGRJLSZFybKAxTj2MHAgMBAAGjUzBRMB0GA1UdDgQWBBQbwoIcGpw5aH2Z4B6+1bz5GTCh9TAfBgNVHSMEGDAWgBQbwoIcGpw5aH2Z4B6+1bz5GTCh9TAPBgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBDAUAA4GBAAbeDZVot7Qt5qDRc/bpcbNLW47mgyd58YqfJXHbAeWE6ws6whnALa4/hW8eK7HMqgh2lMmwyG4hEEbDCFyDpMCRLxKAIRH0MfTxoZgnbCB1g80MUsyLgqsc0SB4V0ykGep7W8uu5d6ENGJtxvXwrreBtQo1d/FUYYG1036ogOfe",
  Ed25519:
    "MIIBLDCB36ADAgECAhR4Pofs+zA7xEyouLfO/t/kZsP0xzAFBgMrZXAwDDEKMAgGA1UEAwwBeDAeFw0yNjExMjExMjI0MDJaFw0yNjEyMjExMjI0MDJaMAwxCjAIBgNVBAMMAXgwKjAFBgMrZXADIQAAxC+vz7+M4haCmtF0lljSz7Nt2mK68tJUzvpYkkEWKaNTMFEwHQYDVR0OBBYEFBRkIB6x/x4JPh92F1qVan0pAUmVMB8GA1UdIwQYMBaAFBRkIB6x/x4JPh92F1qVan0pAUmVMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EAMZPUHwu/Rzk6PV1hA3ZF1p6d3CZaIZKnVoyHy7RBCfFXOzCITLmdUJxi3nZaQPBG/mcPwCG7MbwxiyxFUyjSBA==",
} as const;

const der = (name: keyof typeof certificates): Buffer => Buffer.from(certificates[name], "base64");

describe("tlsServerEndPoint", () => {
  it.each([
    ["ECDSA with SHA-256", "sha256"],
    ["ECDSA with SHA-384", "sha384"],
    ["ECDSA with SHA-512", "sha512"],
    ["RSA with SHA-1", "sha256"],
    ["RSA with SHA-384", "sha384"],
  ] as const)("hashes a certificate signed by %s with %s", (name, hash) => {
    expect(tlsServerEndPoint(der(name))).toEqual(createHash(hash).update(der(name)).digest());
  });

  it("gives nothing for a signature without a hash function of its own", () => {
    expect(tlsServerEndPoint(der("Ed25519"))).toBeNull();
  });

  it("gives nothing for what is not a certificate", () => {
    const whole = der("RSA with SHA-1");
    for (let length = 0; length < whole.length; length++) expect(tlsServerEndPoint(whole.subarray(0, length))).toBeNull();
    expect(tlsServerEndPoint(Buffer.from("3084ffffffff", "hex"))).toBeNull();
    expect(tlsServerEndPoint(Buffer.alloc(64))).toBeNull();
  });
});
