// The parse tree of a shape: libpg_query's tree of one text, in which the constants that may differ from text to text are
// parameters. Not hot: once for each shape. Knows nothing of bytes beyond the places that the scan found.
import type { LiteralScan } from "./literal-scan.js";
import { LiteralKind } from "./literal-scan.js";

/** What becomes of each literal of a shape. */
export interface Shape {
  /** It means something by its value (a position in ORDER BY, a type's length): texts that differ in it are different statements. */
  readonly kept: readonly boolean[];
  /** The number's sign belongs to the constant. */
  readonly negated: readonly boolean[];
  /** Literals that are not kept. */
  readonly lifted: number;
}

export interface LiftedTree extends Shape {
  /** The tree with ParamRefs in place of the constants: $1 is the first literal that is not kept. */
  readonly tree: string;
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Fields in which a constant is a value like any other. Everywhere else it is kept: plugins know `LIMIT 0`, for one. */
const valueFields: ReadonlySet<string> = new Set([
  "lexpr",
  "rexpr",
  "items",
  "values",
  "val",
  "args",
  "elements",
  "limitOffset",
  "expr",
  "result",
  "defresult",
]);

/** `tree`: of the text that was scanned last. */
export function liftTree(tree: string, scan: LiteralScan): LiftedTree {
  const root = JSON.parse(tree) as Json;
  const literals = new Map<number, number>();
  const negatives = new Map<number, number>();
  for (let n = 0; n < scan.count; n++) {
    literals.set(scan.tokens[n] as number, n);
    if (scan.kinds[n] !== LiteralKind.STRING && (scan.signs[n] as number) >= 0) negatives.set(scan.signs[n] as number, n);
  }
  const kept = Array.from({ length: scan.count }, () => true);
  const negated = Array.from({ length: scan.count }, () => false);
  const found: { readonly holder: { [key: string]: Json }; readonly literal: number; readonly location: number }[] = [];

  const visit = (value: Json, field: string, type: string): void => {
    if (Array.isArray(value)) {
      for (const each of value) visit(each, field, type);
      return;
    }
    if (typeof value !== "object" || value === null) return;
    for (const key in value) {
      const child = value[key] as Json;
      if (key === "A_Const") {
        const constant = child as { [key: string]: Json };
        const location = typeof constant["location"] === "number" ? constant["location"] : 0;
        const isValue = valueFields.has(field) || (field === "arg" && (type === "TypeCast" || type === "NamedArgExpr"));
        const literal = literals.get(location) ?? negatives.get(location);
        if (isValue && literal !== undefined && holdsLiteral(constant)) {
          kept[literal] = false;
          negated[literal] = !literals.has(location);
          found.push({ holder: value, literal, location });
        }
      } else if (isNodeType(key)) {
        visitFields(child, key, field);
      } else {
        visit(child, key, type);
      }
    }
  };
  const visitFields = (node: Json, type: string, field: string): void => {
    if (typeof node !== "object" || node === null || Array.isArray(node)) {
      visit(node, field, type);
      return;
    }
    // `1 = 0` and `+5` are read as a whole.
    const bare = type === "A_Expr" && isConstant(node["rexpr"]) && (node["lexpr"] === undefined || isConstant(node["lexpr"]));
    for (const key in node) visit(node[key] as Json, bare ? "" : key, type);
  };
  visit(root, "", "");

  const numbers: number[] = [];
  let lifted = 0;
  for (let n = 0; n < scan.count; n++) numbers.push(kept[n] === true ? 0 : ++lifted);
  for (const { holder, literal, location } of found) {
    delete holder["A_Const"];
    holder["ParamRef"] = { number: numbers[literal] as number, location };
  }
  return { tree: JSON.stringify(root), kept, negated, lifted };
}

function isConstant(value: Json | undefined): boolean {
  return typeof value === "object" && value !== null && "A_Const" in value;
}

/** Not NULL, TRUE and FALSE, which are words, nor bits. */
function holdsLiteral(constant: { [key: string]: Json }): boolean {
  return "ival" in constant || "fval" in constant || "sval" in constant;
}

/** Types begin with a capital, fields do not. */
function isNodeType(key: string): boolean {
  const first = key.charCodeAt(0);
  return first >= 0x41 && first <= 0x5a;
}
