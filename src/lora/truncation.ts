import type { Directions } from "./directions.js";
import { transposed } from "./kernels/products.js";
import { sumOfSquares } from "./kernels/task-tensors.js";
import type { AdapterLayer, LinearLayer } from "./layer.js";

/** How many of a change's directions are kept: a number of them, or as many as have a share of its energy, the sum of the squares. */
export type RankChoice = { readonly rank: number } | { readonly energy: number };

/** A layer in fewer directions, and what is lost. */
export interface Truncated {
  readonly layer: AdapterLayer;
  /** ‖ΔW − ΔW_r‖ / ‖ΔW‖, Frobenius norms; 0 for no change at all. */
  readonly relativeError: number;
}

/** The smallest number of directions with a share of the energy, at least one; as PEFT's `convert_to_lora` with a threshold. */
export function directionsWith(values: ArrayLike<number>, energy: number, total = sumOfSquares(values)): number {
  let sum = 0;
  for (let count = 0; count < values.length; count++) {
    sum += (values[count] ?? 0) ** 2;
    if (sum >= energy * total) return count + 1;
  }
  return values.length;
}

/**
 * The strongest directions of a change as a pair, B = U·diag(σ) and A = Vᵀ with scale 1, as PEFT lays them out. No other pair of that rank is
 * nearer (Eckart & Young 1936).
 *
 * @param total ‖ΔW‖², where the directions are not all of them
 */
export function truncate(
  { name, inputs, outputs, isConv1D, isTable }: LinearLayer,
  directions: Directions,
  choice: RankChoice,
  total = sumOfSquares(directions.values),
): Truncated {
  const { left, values, right } = directions;
  const found = values.length;
  const rank = "rank" in choice ? Math.min(choice.rank, found) : directionsWith(values, choice.energy, total);
  const a = new Float32Array(rank * inputs);
  const rows = transposed(right, inputs, found); // [found, inputs]
  a.set(rows.subarray(0, rank * inputs));
  const b = Float32Array.from({ length: outputs * rank }, (_, at) => {
    const direction = at % rank;
    return (left[Math.floor(at / rank) * found + direction] ?? 0) * (values[direction] ?? 0);
  });
  const kind = { ...(isConv1D === undefined ? {} : { isConv1D }), ...(isTable === undefined ? {} : { isTable }) };
  const lost = Math.max(0, total - sumOfSquares(values.subarray(0, rank)));
  return {
    layer: { name, inputs, outputs, ...kind, rank, scale: 1, a, b },
    relativeError: total === 0 ? 0 : Math.sqrt(lost / total),
  };
}
