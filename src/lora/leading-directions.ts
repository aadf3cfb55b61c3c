import { createRandom } from "../data/random.js";
import type { Directions } from "./directions.js";
import { transposed } from "./kernels/products.js";
import { sumOfSquares } from "./kernels/task-tensors.js";
import { approximateSingularVectors, largestSingularVectors, type SingularVectors } from "./singular-vectors.js";
import type { RankChoice } from "./truncation.js";

/** A matrix, row-major. */
interface Dense {
  readonly rows: number;
  readonly columns: number;
  readonly values: ArrayLike<number>; // [rows, columns]
}

/** A smaller side up to which all directions are computed at once. */
const SMALL_SIDE = 256;
/** A share of the smaller side beyond which computing some directions costs as much as all. */
const MOST = 1 / 4;
/** Passes over the matrix, doubled until another doubling finds less than this share of energy more. */
const FIRST_ROUNDS = 2;
const MAX_ROUNDS = 64;
const SETTLED = 1e-9;
/** Directions that are looked for first where a share of the energy is wanted. */
const FIRST_COUNT = 16;

/**
 * The strongest directions of any matrix, at least as many as are wanted, and its ‖M‖². Large matrices are searched by subspace iteration
 * from fixed random directions until nothing is gained; small ones, and where many directions are wanted, are decomposed.
 */
export function leadingDirections(matrix: Dense, choice: RankChoice): { readonly directions: Directions; readonly total: number } {
  const total = sumOfSquares(matrix.values);
  if ("rank" in choice) return { directions: strongest(matrix, choice.rank, total), total };
  const small = Math.min(matrix.rows, matrix.columns);
  for (let count = FIRST_COUNT; ; count *= 2) {
    const directions = strongest(matrix, count, total);
    if (sumOfSquares(directions.values) >= choice.energy * total || directions.values.length >= small) return { directions, total };
  }
}

function strongest(matrix: Dense, wanted: number, total: number): Directions {
  const { rows, columns, values } = matrix;
  const small = Math.min(rows, columns);
  const count = Math.min(wanted, small);
  if (small <= SMALL_SIDE || count > MOST * small) return asDirections(largestSingularVectors(values, rows, columns, count), columns);
  let before = 0;
  for (let rounds = FIRST_ROUNDS; ; rounds *= 2) {
    const found = approximateSingularVectors(values, { rows, columns, count, rounds }, createRandom(0, "directions"));
    const energy = sumOfSquares(found.values);
    if (energy - before <= SETTLED * total || energy >= (1 - SETTLED) * total || rounds >= MAX_ROUNDS) return asDirections(found, columns);
    before = energy;
  }
}

function asDirections({ left, values, right }: SingularVectors, columns: number): Directions {
  return { left, values, right: transposed(right, values.length, columns) };
}
