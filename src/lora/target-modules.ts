import type { AdapterConfig } from "./adapter.js";
import { blockOf, nameTest, patternTest } from "./targets.js";

/** The head of a language model, which PEFT's `all-linear` leaves alone. */
const HEAD = "lm_head";

/**
 * True for a layer that a configuration means to adapt, as PEFT 0.21 decides (`check_target_module_exists`): not one of `exclude_modules`,
 * one of `target_modules`, and, where blocks are listed, in one of those. A configuration that names no targets means every layer.
 */
export function targetTest(config: Pick<AdapterConfig, "targetModules" | "excludeModules" | "blocks">): (layer: string) => boolean {
  const { targetModules, excludeModules, blocks } = config;
  const excluded = excludeModules === undefined ? () => false : modulesTest(excludeModules);
  const targeted = targetModules.length === 0 ? () => true : modulesTest(targetModules);
  return (layer) => !excluded(layer) && targeted(layer) && (blocks === undefined || blocks.includes(blockOf(layer)));
}

function modulesTest(modules: string | readonly string[]): (layer: string) => boolean {
  if (typeof modules !== "string") {
    const tests = modules.map(nameTest);
    return (layer) => tests.some((test) => test(layer));
  }
  return modules.toLowerCase() === "all-linear" ? (layer) => layer !== HEAD : patternTest(modules);
}
