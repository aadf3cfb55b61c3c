import { Matrix, SingularValueDecomposition } from "ml-matrix";
import { effectiveRank } from "./decomposition.js";
import { orthonormalColumns, product, transposed, transposedProduct } from "./kernels/products.js";

/** How well a matrix is met by the best one of a lower rank. */
export interface Approximation {
  readonly rank: number;
  /** ‖M − M_r‖_F: the root of the sum of the squares of the singular values that are left out. */
  readonly error: number;
  /** The same as a share of ‖M‖_F. */
  readonly relativeError: number;
  /** The largest error in any direction, ‖M − M_r‖₂: the first singular value that is left out. */
  readonly largestError: number;
  /** Numbers in the two factors, r · (rows + columns). */
  readonly parameters: number;
}

/** The singular values of a matrix and what follows from them. */
export interface Spectrum {
  readonly rows: number;
  readonly columns: number;
  /** Singular values above `tolerance`. */
  readonly rank: number;
  readonly tolerance: number;
  /** All min(rows, columns) of them, largest first. */
  readonly singularValues: readonly number[];
  /** ‖M‖_F. */
  readonly norm: number;
  readonly effectiveRank: number;
  readonly approximations: readonly Approximation[];
}

/** M ≈ B·C with r = `rank` columns in B: B = U·diag(σ), C = Vᵀ, of the r largest singular values. */
export interface Factors {
  readonly rank: number;
  readonly b: Float64Array; // [rows, rank]
  readonly c: Float64Array; // [rank, columns]
}

/** A matrix, row-major. */
export interface Dense {
  readonly rows: number;
  readonly columns: number;
  readonly values: ArrayLike<number>; // [rows, columns]
}

/**
 * Singular values of any matrix, its rank, and the errors of its best approximations of lower rank: no matrix of rank r is nearer than the
 * sum of the r strongest directions, in either norm (Eckart & Young 1936; Mirsky 1960).
 *
 * The rank is the number of singular values above σ₁ · max(rows, columns) · epsilon, as NumPy's `matrix_rank` has it.
 *
 * @param best the rank of the factors, where any are wanted
 */
export function spectrumOf(matrix: Dense & { readonly epsilon: number }, best?: number): Spectrum & { readonly factors?: Factors } {
  const { rows, columns, epsilon } = matrix;
  const { values, right } = rightDirections(matrix, best);
  const tolerance = (values[0] ?? 0) * Math.max(rows, columns) * epsilon;
  const rank = values.filter((value) => value > tolerance).length;
  const norm = Math.hypot(...values);
  const asked = best === undefined ? [] : [Math.min(best, values.length)];
  return {
    rows,
    columns,
    rank,
    tolerance,
    singularValues: values,
    norm,
    effectiveRank: effectiveRank(values),
    approximations: [...new Set([...doublings(rank), ...asked])]
      .sort((a, b) => a - b)
      .map((r) => approximation(values, r, norm, rows + columns)),
    ...(right === undefined ? {} : { factors: { rank: right.length / columns, ...factorsOf(matrix, right) } }),
  };
}

/** 1, 2, 4, 8, … and the rank itself. */
function doublings(rank: number): number[] {
  const found: number[] = [];
  for (let r = 1; r < rank; r *= 2) found.push(r);
  return rank === 0 ? [] : [...found, rank];
}

function approximation(values: readonly number[], rank: number, norm: number, sides: number): Approximation {
  const error = Math.hypot(...values.slice(rank));
  return { rank, error, relativeError: norm === 0 ? 0 : error / norm, largestError: values[rank] ?? 0, parameters: rank * sides };
}

/** Singular values, and as rows Vᵀ [count, columns] the directions of the `count` largest. */
function rightDirections(
  { rows, columns, values }: Dense,
  count: number | undefined,
): { values: number[]; right: Float64Array | undefined } {
  const small = Math.min(rows, columns);
  // A tall matrix has the singular values and right directions of its R in M = QR, and M those of its transpose, with sides exchanged.
  const tall = rows >= columns ? values : transposed(values, rows, columns);
  const [height, width] = rows >= columns ? [rows, columns] : [columns, rows];
  const q = height > width ? orthonormalColumns(tall, height, width, width) : undefined;
  const core = q === undefined ? tall : transposedProduct(q, tall, height, width, width); // [width, width]
  const wanted = count !== undefined;
  const found = new SingularValueDecomposition(Matrix.from1DArray(width, width, Array.from(core)), {
    computeLeftSingularVectors: wanted,
    computeRightSingularVectors: wanted,
  });
  const order = found.diagonal.map((_, index) => index).sort((a, b) => (found.diagonal[b] ?? 0) - (found.diagonal[a] ?? 0));
  const sorted = order.map((index) => found.diagonal[index] ?? 0);
  if (count === undefined) return { values: sorted, right: undefined };
  const kept = Math.min(count, small);
  const pick = (vectors: Matrix) =>
    Float64Array.from({ length: width * kept }, (_, at) => vectors.get(Math.floor(at / kept), order[at % kept] ?? 0)); // [width, kept]
  if (rows >= columns) return { values: sorted, right: transposed(pick(found.rightSingularVectors), width, kept) };
  const left = pick(found.leftSingularVectors); // of R, whose turn by Q is the right side of the matrix given
  const turned = q === undefined ? left : product(q, left, height, width, kept); // [columns, kept]
  return { values: sorted, right: transposed(turned, columns, kept) };
}

/** B = M·V and C = Vᵀ. */
function factorsOf({ rows, columns, values }: Dense, right: Float64Array): Pick<Factors, "b" | "c"> {
  const rank = right.length / columns;
  return { b: product(values, transposed(right, rank, columns), rows, columns, rank), c: right };
}
