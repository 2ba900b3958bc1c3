// SHOW CONFIG: PgBouncer's columns; the rows, without secrets, are config/'s.
import { type ConfigRow, configRows } from "../config/config-rows.js";
import { showCommand, text } from "./console-command.js";

export const showConfig = showCommand<ConfigRow>({
  name: "SHOW CONFIG",
  summary: "Settings with their values, defaults, and whether a reload changes them.",
  rows: (view) => configRows(view.config),
  columns: [
    text("key", (row) => row.key),
    text("value", (row) => row.value),
    text("default", (row) => row.default),
    text("changeable", (row) => row.changeable),
  ],
});
