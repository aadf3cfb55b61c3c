import type { AdapterConfig } from "./adapter.js";
import type { AdapterLayer } from "./layer.js";

/** The configuration of a plain LoRA with these layers, all of scale 1: the rank that most of them have, and patterns for the others. */
export function plainConfig(
  from: AdapterConfig,
  layers: readonly AdapterLayer[],
  targetModules: AdapterConfig["targetModules"],
): AdapterConfig {
  const counts = new Map<number, number>();
  for (const { rank } of layers) counts.set(rank, (counts.get(rank) ?? 0) + 1);
  const [[rank] = [from.rank]] = [...counts].sort(([, a], [, b]) => b - a);
  const pattern = Object.fromEntries(layers.filter((layer) => layer.rank !== rank).map((layer) => [escaped(layer.name), layer.rank]));
  return {
    ...from,
    method: "lora",
    rank,
    alpha: rank,
    rankStabilised: false,
    rankPattern: pattern,
    alphaPattern: pattern,
    targetModules,
  };
}

/** A path as a regular expression that means it alone. */
const escaped = (name: string): string => name.replaceAll(".", "\\.");
