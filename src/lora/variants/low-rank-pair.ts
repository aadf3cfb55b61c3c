import type { AdaptedLayer } from "../layer.js";
import { approximateSingularVectors, largestSingularVectors, type SingularVectors } from "../singular-vectors.js";
import { A } from "./lora.js";
import { checkRank, type StartPair } from "./subtracted.js";
import type { Start } from "./variant.js";

/** The A and B whose s·BA is nearest to a matrix [outputs, inputs], found exactly or in as many rounds as a start has. */
export function lowRankPair(layer: AdaptedLayer, matrix: Float32Array, { rounds, random }: Pick<Start, "rounds" | "random">): StartPair {
  checkRank(layer);
  const { outputs: rows, inputs: columns, rank: count } = layer;
  if (rounds === 0) return principalPair(layer, largestSingularVectors(matrix, rows, columns, count));
  return principalPair(layer, approximateSingularVectors(matrix, { rows, columns, count, rounds }, random(A)));
}

/** B = U·√(S/s) and A = √(S/s)·V, so that s·BA = U·S·V. */
export function principalPair({ inputs, rank, scale }: AdaptedLayer, { left, values, right }: SingularVectors): StartPair {
  const root = (index: number) => Math.sqrt((values[index] ?? 0) / scale);
  return {
    a: Float32Array.from(right, (value, at) => value * root(Math.floor(at / inputs))),
    b: Float32Array.from(left, (value, at) => value * root(at % rank)),
  };
}
