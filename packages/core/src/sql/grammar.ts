// PostgreSQL's own grammar: libpg_query as WebAssembly, called by its C functions so that a broken instance can be told
// and replaced. Loads nothing before loadGrammar(): an instance takes 12 ms and some 100 MB once it is used.
import { createRequire } from "node:module";

/** PostgreSQL major of the grammar in the libpg-query package that package.json pins. */
export const grammarMajor = 18;

export interface Grammar {
  /** libpg_query's JSON of all statements. */
  parse(text: string): { readonly tree: string } | { readonly error: string };
  /** 16 hex digits; null when the text is refused. */
  fingerprint(text: string): string | null;
}

/** The instance is of no use any more: its stack or memory was exhausted within a call. */
export class GrammarBroken extends Error {}

interface WasmModule {
  _malloc(size: number): number;
  _free(pointer: number): void;
  _wasm_parse_query_raw(text: number): number;
  _wasm_free_parse_result(result: number): void;
  _wasm_fingerprint(text: number): number;
  _wasm_free_string(text: number): void;
  lengthBytesUTF8(text: string): number;
  stringToUTF8(text: string, pointer: number, capacity: number): void;
  UTF8ToString(pointer: number): string;
  getValue(pointer: number, type: "i32"): number;
}

type Factory = () => Promise<WasmModule>;

/** A new instance with a memory of its own. */
export async function loadGrammar(): Promise<Grammar> {
  const factory = createRequire(import.meta.url)("libpg-query/wasm/libpg-query.js") as Factory;
  return new WasmGrammar(await factory());
}

class WasmGrammar implements Grammar {
  readonly #wasm: WasmModule;

  constructor(wasm: WasmModule) {
    this.#wasm = wasm;
  }

  parse(text: string): { readonly tree: string } | { readonly error: string } {
    return this.#call(text, (wasm, pointer) => {
      const result = wasm._wasm_parse_query_raw(pointer);
      if (result === 0) throw new GrammarBroken("out of memory");
      // PgQueryParseResult { char *parse_tree; char *stderr_buffer; PgQueryError *error; }, PgQueryError { char *message; … }
      const error = wasm.getValue(result + 8, "i32");
      const outcome =
        error === 0 ? { tree: wasm.UTF8ToString(wasm.getValue(result, "i32")) } : { error: wasm.UTF8ToString(wasm.getValue(error, "i32")) };
      wasm._wasm_free_parse_result(result);
      return outcome;
    });
  }

  fingerprint(text: string): string | null {
    return this.#call(text, (wasm, pointer) => {
      const result = wasm._wasm_fingerprint(pointer);
      if (result === 0) throw new GrammarBroken("out of memory");
      const fingerprint = wasm.UTF8ToString(result);
      wasm._wasm_free_string(result);
      return /^[0-9a-f]{16}$/.test(fingerprint) ? fingerprint : null;
    });
  }

  #call<T>(text: string, run: (wasm: WasmModule, pointer: number) => T): T {
    const wasm = this.#wasm;
    try {
      const size = wasm.lengthBytesUTF8(text) + 1;
      const pointer = wasm._malloc(size);
      if (pointer === 0) throw new GrammarBroken("out of memory");
      wasm.stringToUTF8(text, pointer, size);
      const result = run(wasm, pointer);
      wasm._free(pointer);
      return result;
    } catch (error) {
      // Errors of the grammar are results. Whatever is thrown (a stack overflow, an abort) left the instance somewhere in
      // the middle; calling it again has been seen to hang.
      throw error instanceof GrammarBroken ? error : new GrammarBroken("the grammar stopped within a call", { cause: error });
    }
  }
}
