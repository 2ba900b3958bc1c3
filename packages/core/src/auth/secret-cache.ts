// Keys derived from plain passwords, once per password and process: a derivation costs about a millisecond, a login with a
// derived key some microseconds. Also the secrets of users that do not exist, so that they look like those that do.
import { createHmac, randomBytes, randomFillSync } from "node:crypto";
import type { UserConfig } from "../config/types.js";
import {
  DEFAULT_ITERATIONS,
  hmac,
  KEY_BYTES,
  keysOf,
  NONCE_BYTES,
  SALT_BYTES,
  type ScramKeys,
  type ScramSecret,
  saltedPassword,
  saltedPasswordAsync,
  secretOf,
} from "./scram.js";

export interface SecretCache {
  /**
   * Derives the secrets of all users with a plain password in the background, one after the other, and forgets those
   * of others. Without it the first login of each user takes the derivation longer, which tells that the user exists.
   */
  prepare(users: readonly UserConfig[]): void;
  /** The secret of a user with a plain password: at once when it is known, else when it is derived. */
  secretOf(user: string, password: string): ScramSecret | Promise<ScramSecret>;
  /** A secret that no password matches; always the same for a name. */
  mockSecretOf(user: string): ScramSecret;
  /** Keys that prove the password at a server with this salt; derives them on this thread when they are not known. */
  keysOf(password: string, salt: Buffer, iterations: number): ScramKeys;
  /** A nonce for one exchange, in base64. */
  nonce(): string;
}

const LARGEST_KEY_CACHE = 512;
/** The generator is asked for this many nonces at once: being asked is what takes its time. */
const NONCES_AT_ONCE = 128;

export function createSecretCache(): SecretCache {
  return new Cache();
}

interface Entry {
  readonly password: string;
  secret: ScramSecret | Promise<ScramSecret>;
}

class Cache implements SecretCache {
  /** Salts come out of this, so that those of real and of unknown users cannot be told apart. */
  readonly #processKey = randomBytes(KEY_BYTES);
  readonly #secrets = new Map<string, Entry>();
  readonly #keys = new Map<string, ScramKeys>();
  readonly #nonces = Buffer.alloc(NONCES_AT_ONCE * NONCE_BYTES);
  #noncesUsed = NONCES_AT_ONCE;
  #preparation = 0;

  prepare(users: readonly UserConfig[]): void {
    const withPassword = new Map<string, string>();
    for (const user of users) if (user.password) withPassword.set(user.name, user.password);
    for (const [name, entry] of this.#secrets) if (withPassword.get(name) !== entry.password) this.#secrets.delete(name);
    void this.#prepareAll(withPassword, ++this.#preparation);
  }

  async #prepareAll(users: ReadonlyMap<string, string>, preparation: number): Promise<void> {
    for (const [name, password] of users) {
      // A later call takes over.
      if (preparation !== this.#preparation) return;
      try {
        await this.secretOf(name, password);
      } catch {
        // The user's own login will meet it again, and say so.
      }
    }
  }

  secretOf(user: string, password: string): ScramSecret | Promise<ScramSecret> {
    const known = this.#secrets.get(user);
    if (known !== undefined && known.password === password) return known.secret;
    const salt = this.#saltOf(user, password);
    const secret = saltedPasswordAsync(password, salt, DEFAULT_ITERATIONS).then((salted) => secretOf(salted, salt, DEFAULT_ITERATIONS));
    const entry: Entry = { password, secret };
    this.#secrets.set(user, entry);
    secret.then(
      (derived) => {
        entry.secret = derived;
      },
      () => {
        if (this.#secrets.get(user) === entry) this.#secrets.delete(user);
      },
    );
    return secret;
  }

  mockSecretOf(user: string): ScramSecret {
    return {
      iterations: DEFAULT_ITERATIONS,
      salt: this.#saltOf(user, ""),
      storedKey: hmac(this.#processKey, "mock stored key"),
      serverKey: hmac(this.#processKey, "mock server key"),
    };
  }

  keysOf(password: string, salt: Buffer, iterations: number): ScramKeys {
    const name = `${iterations}:${salt.toString("base64")}:${password}`;
    const known = this.#keys.get(name);
    if (known !== undefined) return known;
    const keys = keysOf(saltedPassword(password, salt, iterations));
    for (const oldest of this.#keys.keys()) {
      if (this.#keys.size < LARGEST_KEY_CACHE) break;
      this.#keys.delete(oldest);
    }
    this.#keys.set(name, keys);
    return keys;
  }

  nonce(): string {
    if (this.#noncesUsed === NONCES_AT_ONCE) {
      randomFillSync(this.#nonces);
      this.#noncesUsed = 0;
    }
    const start = NONCE_BYTES * this.#noncesUsed++;
    return this.#nonces.toString("base64", start, start + NONCE_BYTES);
  }

  #saltOf(user: string, password: string): Buffer {
    return createHmac("sha256", this.#processKey).update(`${user}\0${password}`).digest().subarray(0, SALT_BYTES);
  }
}
