import { largestSingularVectors } from "../singular-vectors.js";
import { lowRankPair, principalPair } from "./low-rank-pair.js";
import { subtractedStart } from "./subtracted.js";
import type { Variant } from "./variant.js";

/**
 * PiSSA (Meng et al. 2024, arXiv 2404.02948, eqs. 2 to 4): A and B start as the largest singular directions of W, and the rest of W stays
 * frozen: for W = U·S·V, B₀ = U·√(S/s) and A₀ = √(S/s)·V, of the first r.
 */
export const pissa: Variant = {
  ...subtractedStart(
    async (layer, start) => lowRankPair(layer, await start.weight(), start),
    (layer, weight) => principalPair(layer, largestSingularVectors(weight, layer.outputs, layer.inputs, layer.rank)),
    { init_lora_weights: "pissa" },
  ),
  options: ["svdRounds"],
};
