import type { AdaptedLayer } from "../layer.js";
import { A, B, pair } from "./lora.js";
import type { InputDirections, Variant, VariantSettings } from "./variant.js";

/** PEFT's default: no layer gets more than twice its rank. */
const RHO = 2;

/**
 * EVA (Paischer et al. 2024, arXiv 2410.07170, algorithm 1): A starts as the principal directions of what the layer reads in the data
 * that it will learn from, at the tokens that are learned, and B as zero. The ranks of all layers together go to the directions that
 * explain most of their inputs' variance. As in PEFT, a layer's alpha follows its rank, so that its strength stays.
 */
export const eva: Variant = {
  ...pair,
  initialise: ({ rank, inputs, outputs }, start) =>
    new Map([
      [A, start.inputs().directions.slice(0, rank * inputs)],
      [B, new Float32Array(outputs * rank)],
    ]),
  options: ["rho", "startBatches", "svdRounds"],
  dataStart: { count: mostDirections, ranks: rankByShare },
  trace: ({ rho = RHO }) => ({
    init_lora_weights: "eva",
    eva_config: { adjust_scaling_factors: true, label_mask_value: -100, rho, tau: 0.99, use_label_mask: true, whiten: false },
  }),
};

function mostDirections({ rank, inputs }: AdaptedLayer, { rho = RHO }: VariantSettings): number {
  return Math.min(roundHalfToEven(rank * rho), inputs);
}

/** As Python rounds. */
function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}

/**
 * As many directions of all layers as they had ranks, by the share that they explain. Layers of one input have equal shares: where
 * these stand at the edge, the first layers of the groups go first, and the first of a group has its highest rank, as in PEFT's
 * `_get_rank_distribution`.
 */
function rankByShare(
  groups: readonly (readonly AdaptedLayer[])[],
  of: (layer: AdaptedLayer) => InputDirections,
): ReadonlyMap<string, number> {
  const firsts = groups.flatMap((group) => group.slice(0, 1));
  const others = groups.flatMap((group) => group.slice(1));
  const budget = groups.flat().reduce((sum, { rank }) => sum + rank, 0);
  const candidates = [...firsts, ...others].flatMap((layer) => Array.from(of(layer).shares, (share) => ({ name: layer.name, share })));
  const ranks = new Map(groups.flat().map(({ name }) => [name, 0]));
  for (const { name } of candidates.sort((a, b) => b.share - a.share).slice(0, budget)) ranks.set(name, (ranks.get(name) ?? 0) + 1);
  for (const [first, ...rest] of groups) {
    for (const other of rest) {
      const [high, low] = [ranks.get(first?.name ?? "") ?? 0, ranks.get(other.name) ?? 0];
      if (first === undefined || high >= low) continue;
      ranks.set(first.name, low).set(other.name, high);
    }
  }
  return ranks;
}
