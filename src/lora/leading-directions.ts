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
const SMALL_SIDE = 128;
/** A share of the smaller side beyond which computing some directions costs as much as all. */
const MOST = 1 / 4;
/** Passes over the matrix, at most, and the further share of its energy below which one is the last. */
const MOST_ROUNDS = 50;
const SETTLED = 1e-6;
/** Directions that are looked for first where a share of the energy is wanted. */
const FIRST_COUNT = 16;

/**
 * The strongest directions of any matrix, at least as many as are wanted, and its ‖M‖². Large matrices are searched by subspace iteration
 * from fixed random directions until nothing is gained; small ones, and where many directions are wanted, are decomposed.
 */
export function leadingDirections(matrix: Dense, choice: RankChoice): { readonly directions: Directions; readonly total: number } {
  const total = sumOfSquares(matrix.values);
  if ("rank" in choice) return { directions: strongest(matrix, choice.rank), total };
  const small = Math.min(matrix.rows, matrix.columns);
  for (let count = FIRST_COUNT; ; count *= 2) {
    const directions = strongest(matrix, count);
    if (sumOfSquares(directions.values) >= choice.energy * total || directions.values.length >= small) return { directions, total };
  }
}

function strongest(matrix: Dense, wanted: number): Directions {
  const { rows, columns, values } = matrix;
  const small = Math.min(rows, columns);
  const count = Math.min(wanted, small);
  if (small <= SMALL_SIDE || count > MOST * small) return asDirections(largestSingularVectors(values, rows, columns, count), columns);
  const search = { rows, columns, count, rounds: MOST_ROUNDS, settles: SETTLED };
  return asDirections(approximateSingularVectors(values, search, createRandom(0, "directions")), columns);
}

function asDirections({ left, values, right }: SingularVectors, columns: number): Directions {
  return { left, values, right: transposed(right, values.length, columns) };
}
