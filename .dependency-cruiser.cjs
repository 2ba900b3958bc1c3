// Holds the two planes of packages/core/src apart: the hot path (bytes of clients and servers) knows nothing of the control plane.
const HOT = "^packages/core/src/(protocol|wire|session|router|pool|server)/|^packages/core/src/plugins/chain";
const CONTROL = "^packages/core/src/(config|admin|metrics|supervisor|worker)/|^packages/core/src/(topology/probe|plugins/loader)";

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: "no-cycles",
      comment: "Modules that need one another are one module, or lack an interface between them.",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "hot-knows-no-control",
      comment: "The hot path gets frozen snapshots and writes plain counters; it imports types of the control plane at most.",
      severity: "error",
      from: { path: HOT, pathNot: "\\.(test|bench)\\.ts$" },
      to: { path: CONTROL, dependencyTypesNot: ["type-only"] },
    },
    {
      name: "protocol-is-pure",
      comment: "protocol/ is bytes only: no sockets, files, timers or native code.",
      severity: "error",
      from: { path: "^packages/core/src/protocol/", pathNot: "\\.(test|bench)\\.ts$" },
      to: { path: "^(node:)?(net|tls|fs|child_process|http|https|dns|timers)(/|$)|koffi" },
    },
    {
      name: "tests-are-leaves",
      comment: "Nothing that ships imports a test.",
      severity: "error",
      from: { pathNot: "\\.(test|bench)\\.ts$" },
      to: { path: "\\.(test|bench)\\.ts$" },
    },
    {
      name: "no-undeclared-dependency",
      comment: "Every imported package is declared by the package that imports it.",
      severity: "error",
      from: { path: "^packages/" },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown", "unknown"] },
    },
    {
      name: "not-resolvable",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules|/dist/" },
    exclude: { path: "/dist/" },
    tsPreCompilationDeps: "specify",
    tsConfig: { fileName: "tsconfig.base.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["@pooler/source", "import", "node", "default", "types"],
      extensions: [".ts", ".js", ".json", ".d.ts"],
    },
  },
};
