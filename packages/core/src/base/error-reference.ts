// docs/errors.md, written from the table of errors, so that it cannot say anything else.
import { errorKinds } from "./errors.js";

/** The text of docs/errors.md. */
export function renderErrorReference(): string {
  const rows = Object.entries(errorKinds).map(
    ([code, { sqlstate, retryable, meaning }]) =>
      `| \`${code}\` | \`${sqlstate}\` | ${retryable ? "yes" : "no"} | ${meaning.replaceAll("|", "\\|")} |`,
  );
  return `<!-- Generated from packages/core/src/base/errors.ts: change it there, then \`pnpm --filter @pooler/core docs\`. -->

# Errors

Every failure that the pooler expects has a code in logs and on the command line, and an SQLSTATE, which is what clients see. "Try again" says
whether the same request may work a moment later. What a server answers is passed on as it is and is not listed here.

| code | SQLSTATE | try again | meaning |
|---|---|---|---|
${rows.join("\n")}
`;
}
