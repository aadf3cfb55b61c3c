import type { Directions } from "./directions.js";
import { transposedProduct } from "./kernels/products.js";

/** Directions of either side that are compared at most: the heat maps of larger ranks show nothing more. */
export const COMPARED = 32;

/** How much of one change's strongest directions lies among another's. */
export interface Similarity {
  /** φ(i, j) at [i − 1][j − 1]: 0 where the directions have nothing in common, 1 where the fewer lie wholly among the more. */
  readonly values: readonly (readonly number[])[];
  /** What directions drawn at random would have on average at [i − 1][j − 1]: max(i, j) / inputs. */
  readonly inputs: number;
}

/**
 * φ(A, B, i, j) = ‖V_Aⁱᵀ·V_Bʲ‖²_F / min(i, j), V the right singular vectors, of which the first i and j are taken (Hu et al. 2021, eq. 4
 * and appendix G). The paper takes them of the matrix A; here they are those of ΔW = s·BA. They span the same space, but their order does
 * not depend on how the product is split between A and B. Directions in which nothing changed are left out.
 */
export function similarityOf(one: Directions, other: Directions, inputs: number): Similarity {
  const [rows, columns] = [usedOf(one), usedOf(other)];
  const dots = transposedProduct(one.right, other.right, inputs, one.values.length, other.values.length); // V_AᵀV_B [r, r']
  const values = Array.from({ length: rows }, () => new Array<number>(columns).fill(0));
  // φ·min(i, j) is the sum of the squares up to (i, j): each follows from its neighbours.
  const sums = Array.from({ length: rows + 1 }, () => new Float64Array(columns + 1));
  for (let i = 1; i <= rows; i++) {
    for (let j = 1; j <= columns; j++) {
      const square = (dots[(i - 1) * other.values.length + j - 1] ?? 0) ** 2;
      const [above, row] = [sums[i - 1] ?? new Float64Array(), sums[i] ?? new Float64Array()];
      row[j] = square + (above[j] ?? 0) + (row[j - 1] ?? 0) - (above[j - 1] ?? 0);
      const line = values[i - 1];
      if (line !== undefined) line[j - 1] = Math.min(1, (row[j] ?? 0) / Math.min(i, j)); // rounding takes it above 1
    }
  }
  return { values, inputs };
}

/** Values below this share of the largest are rounding: their directions are arbitrary. */
const NOTHING = 1e-6;

function usedOf({ values }: Directions): number {
  const least = NOTHING * (values[0] ?? 0);
  return Math.min(COMPARED, values.filter((value) => value > least).length);
}
