// What a plugin's own tests need: the plugin alone, asked one statement at a time, and a pooler with it before real servers.
export { type LoadOptions, loadPlugin, type TestedPlugin } from "./load-plugin.js";
export { type PoolerOptions, startPooler, type TestClient, type TestPooler, type TestResult } from "./start-pooler.js";
export type { Question, Verdict } from "./verdict.js";
