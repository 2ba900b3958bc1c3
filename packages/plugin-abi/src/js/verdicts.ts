// What a plugin in JavaScript may answer. Plain objects; the functions only spare the typing.
import type { Role } from "./inputs.js";

/** Not mine: so is undefined. */
export interface Skip {
  readonly verdict: "skip";
}

export interface Forward {
  readonly verdict: "forward";
  readonly role?: Role;
  readonly shard?: number | "all";
}

export interface Refuse {
  readonly verdict: "error";
  /** Five of 0-9 and A-Z; 42501 when left out. */
  readonly sqlstate?: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
}

/** null is NULL, a Buffer is binary, a string text. */
export type NewValue = string | Buffer | null;

export interface NewParameter {
  readonly value: NewValue;
  readonly typeOid?: number;
}

export interface Rewrite {
  readonly verdict: "rewrite";
  /** One statement; a Buffer is in the client's encoding. */
  readonly sql: string | Buffer;
  /** All of them; left out: those of the client stay. */
  readonly parameters?: readonly (NewValue | NewParameter)[];
  readonly role?: Role;
  readonly shard?: number | "all";
}

export interface NewColumn {
  readonly name: string;
  /** 25 (text) when left out. */
  readonly typeOid?: number;
  readonly typeModifier?: number;
  /** pg_type.typlen: -1 for variable length. */
  readonly typeSize?: number;
  /** Of the values: text when left out. */
  readonly format?: "text" | "binary";
}

export interface Intercept {
  readonly verdict: "intercept";
  readonly columns?: readonly (string | NewColumn)[];
  readonly rows?: readonly (readonly (NewValue | number | bigint | boolean)[])[];
  /** "SELECT <rows>" when left out. */
  readonly commandTag?: string;
}

export type Verdict = ((Skip | Forward | Rewrite) & { readonly showRows?: boolean; readonly cookie?: number }) | Intercept | Refuse;

export interface Accept {
  readonly verdict: "accept";
  /** Who the client is from now on: a user of the configuration, whose password it must prove. */
  readonly user?: string;
  /** A database of the configuration. */
  readonly database?: string;
  /** As whom to log in at servers. */
  readonly serverUser?: string;
  readonly serverPassword?: string;
}

export type ConnectVerdict = Skip | Accept | Refuse;

export interface AcceptServer {
  readonly verdict: "accept";
  /** Run first, and again whenever the session was reset. */
  readonly sql?: string;
  /** Run once, after that. */
  readonly onceSql?: string;
}

export type ServerVerdict = Skip | AcceptServer | Refuse;

/** undefined and "keep": as it is. A list: one for each column, undefined for those that stay. */
export type RowVerdict = undefined | "keep" | "drop" | readonly (NewValue | undefined)[];

export const skip = (): Skip => ({ verdict: "skip" });

export const forward = (route: Omit<Forward, "verdict">): Forward => ({ verdict: "forward", ...route });

export const refuse = (message: string, more: Omit<Refuse, "verdict" | "message"> = {}): Refuse => ({ verdict: "error", message, ...more });

export const rewrite = (sql: string | Buffer, parameters?: Rewrite["parameters"]): Rewrite =>
  parameters === undefined ? { verdict: "rewrite", sql } : { verdict: "rewrite", sql, parameters };

export const intercept = (answer: Omit<Intercept, "verdict">): Intercept => ({ verdict: "intercept", ...answer });

export const accept = <T extends Omit<Accept, "verdict"> | Omit<AcceptServer, "verdict">>(what: T): T & { readonly verdict: "accept" } => ({
  ...what,
  verdict: "accept",
});
