import type { AdaptedLayer } from "../layer.js";
import { approximateSingularVectors, largestSingularVectors, type SingularVectors } from "../singular-vectors.js";
import { A } from "./lora.js";
import { type StartPair, subtractedStart } from "./subtracted.js";
import type { Start, Variant } from "./variant.js";

/**
 * PiSSA (Meng et al. 2024, arXiv 2404.02948, eqs. 2 to 4): A and B start as the largest singular directions of W, and the rest of W stays
 * frozen: for W = U·S·V, B₀ = U·√(S/s) and A₀ = √(S/s)·V, of the first r.
 */
export const pissa: Variant = {
  ...subtractedStart(
    async (layer, start) => principalPair(layer, await singularVectors(layer, start)),
    (layer, weight) => principalPair(layer, largestSingularVectors(weight, layer.outputs, layer.inputs, layer.rank)),
    { init_lora_weights: "pissa" },
  ),
  options: ["svdRounds"],
};

async function singularVectors({ outputs, inputs, rank }: AdaptedLayer, { weight, random, rounds }: Start): Promise<SingularVectors> {
  if (rounds === 0) return largestSingularVectors(await weight(), outputs, inputs, rank);
  return approximateSingularVectors(await weight(), { rows: outputs, columns: inputs, count: rank, rounds }, random(A));
}

function principalPair({ inputs, rank, scale }: AdaptedLayer, { left, values, right }: SingularVectors): StartPair {
  const root = (index: number) => Math.sqrt((values[index] ?? 0) / scale);
  return {
    a: Float32Array.from(right, (value, at) => value * root(Math.floor(at / inputs))),
    b: Float32Array.from(left, (value, at) => value * root(at % rank)),
  };
}
