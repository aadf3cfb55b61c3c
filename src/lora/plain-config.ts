import type { AdapterConfig } from "./adapter.js";
import type { AdapterLayer } from "./layer.js";

/** The configuration of a plain LoRA with these layers: the rank and the α that most of them have, and patterns for the others. */
export function plainConfig(
  from: AdapterConfig,
  layers: readonly AdapterLayer[],
  targetModules: AdapterConfig["targetModules"],
): AdapterConfig {
  const [rank, rankPattern] = commonest(layers, (layer) => layer.rank);
  const [alpha, alphaPattern] = commonest(layers, alphaOf);
  return {
    ...from,
    method: "lora",
    rank: rank ?? from.rank,
    alpha: alpha ?? from.rank,
    rankStabilised: false,
    rankPattern,
    alphaPattern,
    targetModules,
  };
}

/** α = scale · r, without the last digits that a division by r leaves. */
const alphaOf = ({ rank, scale }: AdapterLayer): number => Number((scale * rank).toPrecision(14));

/** What most layers have, and a pattern of those that have something else. */
function commonest(
  layers: readonly AdapterLayer[],
  measure: (layer: AdapterLayer) => number,
): [value: number | undefined, pattern: Record<string, number>] {
  const counts = new Map<number, number>();
  for (const layer of layers) counts.set(measure(layer), (counts.get(measure(layer)) ?? 0) + 1);
  const [[value] = []] = [...counts].sort(([, a], [, b]) => b - a);
  const others = layers.filter((layer) => measure(layer) !== value);
  return [value, Object.fromEntries(others.map((layer) => [escaped(layer.name), measure(layer)]))];
}

/** A path as a regular expression that means it alone. */
const escaped = (name: string): string => name.replaceAll(".", "\\.");
