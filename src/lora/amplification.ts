import type { Directions } from "./directions.js";
import { product, transposedProduct } from "./kernels/products.js";

/** How a layer's change compares with the weight that it is added to, in the directions of the change. */
export interface Amplification {
  /** ‖ΔW‖_F / ‖UᵀWV‖_F: how many times as strong the change is as W was in the same directions; undefined where W has nothing there, or nothing changed. */
  readonly factor: number | undefined;
  /** ‖UᵀWV‖_F: what W does in the directions of the change. */
  readonly projection: number;
  /** What it would do on average in as many directions drawn at random, r·‖W‖_F / √(outputs · inputs). */
  readonly byChance: number;
  /** ‖W‖_F. */
  readonly weightNorm: number;
}

/**
 * The amplification factor of Hu et al. 2021, section 7.3 and table 7: W is projected onto the r-dimensional space of ΔW by UᵀWV, U and V
 * the singular vectors of ΔW. W itself is never decomposed.
 *
 * @param weight W [outputs, inputs]
 */
export function amplificationOf({ left, values, right }: Directions, weight: Float32Array, outputs: number, inputs: number): Amplification {
  const rank = values.length;
  const written = product(weight, right, outputs, inputs, rank); // W·V [outputs, r]
  const projection = norm(transposedProduct(left, written, outputs, rank, rank)); // UᵀWV [r, r]
  const [change, weightNorm] = [norm(values), norm(weight)];
  return {
    factor: projection > 0 && change > 0 ? change / projection : undefined,
    projection,
    byChance: (rank * weightNorm) / Math.sqrt(outputs * inputs),
    weightNorm,
  };
}

/** Frobenius norm; a loop, since a weight has more values than a call has arguments. */
function norm(values: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < values.length; at++) sum += (values[at] ?? 0) ** 2;
  return Math.sqrt(sum);
}
