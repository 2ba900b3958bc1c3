// What a host or a build tool needs of the plugin contract: where the C header is, and its numbers.
import { fileURLToPath } from "node:url";

export { type ConstantName, constants, type StructName, structs } from "./layout.js";

/** Absolute path of the directory that holds pooler_plugin.h: `cc -I <includeDir>`. */
export const includeDir: string = fileURLToPath(new URL("../include", import.meta.url));
