// For plugins that are JavaScript or TypeScript modules: definePlugin, the verdicts, and the types of what a plugin is given.
export {
  type CapabilityName,
  capabilityNames,
  definePlugin,
  hookMethods,
  isPluginDefinition,
  type PluginDefinition,
} from "./define-plugin.js";
export type * from "./inputs.js";
export * from "./verdicts.js";
