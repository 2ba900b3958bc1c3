// The tokens of a normalized text, for those who look at it once. Knows nothing of what they mean.

export interface CertainToken {
  /** word: folded; name: quoted, without the quotes; value: literal or parameter */
  readonly kind: "word" | "name" | "value" | "operator" | "symbol";
  readonly text: string;
}

const tokenPattern = / *(?:([a-z_\x80-\xff][a-z0-9_$\x80-\xff]*)|"((?:[^"]|"")*)"|(['$])|([-+*/<>=~!@#%^&|`?]+)|([()[\],.:]))/y;

/** The tokens of a normalized text, byte for byte; null when it holds anything else. */
export function tokensOf(text: string): CertainToken[] | null {
  const tokens: CertainToken[] = [];
  tokenPattern.lastIndex = 0;
  while (tokenPattern.lastIndex < text.length) {
    const match = tokenPattern.exec(text);
    if (match === null) return null;
    const [, word, name, value, operator, symbol] = match;
    if (word !== undefined) tokens.push({ kind: "word", text: word });
    else if (name !== undefined) tokens.push({ kind: "name", text: name.replaceAll('""', '"') });
    else if (value !== undefined) tokens.push({ kind: "value", text: value });
    else if (operator !== undefined) tokens.push({ kind: "operator", text: operator });
    else if (symbol !== undefined) tokens.push({ kind: "symbol", text: symbol });
  }
  return tokens;
}

export function isWord(token: CertainToken | undefined, word: string): boolean {
  return token?.kind === "word" && token.text === word;
}

export function isSymbol(token: CertainToken | undefined, symbol: string): boolean {
  return token?.kind === "symbol" && token.text === symbol;
}
