import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import type { Random } from "../data/random.js";
import { orthonormalColumns, product, transposed, transposedProduct } from "./kernels/products.js";
import { sumOfSquares } from "./kernels/task-tensors.js";

/** The largest singular values of a matrix M [rows, columns] with their vectors: M ≈ U·diag(s)·V. */
export interface SingularVectors {
  readonly left: Float64Array; // U [rows, count]
  readonly values: Float64Array; // s [count], largest first
  readonly right: Float64Array; // V [count, columns]
}

/** Directions beyond those that are asked for, which take up what the last of these would lack (Halko et al. 2011, section 4.2). */
export const OVERSAMPLING = 8;

/**
 * The `count` largest singular values and their vectors, exactly: from the eigenvectors of the smaller one of MᵀM and MMᵀ, in double
 * precision, which single-precision weights leave room for.
 */
export function largestSingularVectors(matrix: ArrayLike<number>, rows: number, columns: number, count: number): SingularVectors {
  if (columns > rows) {
    const { left, values, right } = largestSingularVectors(transposed(matrix, rows, columns), columns, rows, count);
    return { left: transposed(right, count, rows), values, right: transposed(left, columns, count) };
  }
  const gram = transposedProduct(matrix, matrix, rows, columns, columns); // MᵀM [columns, columns]
  const { values, vectors } = largestEigenvectors(gram, columns, count);
  const left = product(matrix, vectors, rows, columns, count); // U·diag(s)
  for (let at = 0; at < left.length; at++) left[at] = ratio(left[at] ?? 0, values[at % count] ?? 0);
  return { left, values, right: transposed(vectors, columns, count) };
}

/**
 * The same by subspace iteration from random directions (Halko et al. 2011, algorithms 4.4 and 5.1): closer with each round.
 *
 * @param rounds passes over M and Mᵀ, at most; as `niter` of PyTorch's svd_lowrank
 * @param settles a round that finds no more than this further energy, a share of ‖M‖², is the last
 */
export function approximateSingularVectors(matrix: ArrayLike<number>, search: Search, random: Random): SingularVectors {
  const { rows, columns, count, rounds, settles = Number.NEGATIVE_INFINITY } = search;
  const width = Math.min(count + OVERSAMPLING, rows, columns);
  const start = Float64Array.from({ length: columns * width }, () => random.normal());
  const least = settles * sumOfSquares(matrix);
  let basis = orthonormalColumns(product(matrix, start, rows, columns, width), rows, width, width); // Q [rows, width]
  let other = transposedProduct(matrix, basis, rows, columns, width); // Mᵀ·Q [columns, width]
  let found = sumOfSquares(other);
  for (let round = 0, gain = Number.POSITIVE_INFINITY; round < rounds && gain > least; round++) {
    basis = orthonormalColumns(product(matrix, orthonormalColumns(other, columns, width, width), rows, columns, width), rows, width, width);
    other = transposedProduct(matrix, basis, rows, columns, width);
    const energy = sumOfSquares(other);
    gain = energy - found;
    found = energy;
  }
  const small = transposed(other, columns, width); // Qᵀ·M [width, columns]
  const { left, values, right } = largestSingularVectors(small, width, columns, count);
  return { left: product(basis, left, rows, width, count), values, right };
}

interface Search {
  readonly rows: number;
  readonly columns: number;
  readonly count: number;
  readonly rounds: number;
  readonly settles?: number;
}

/** Eigenvectors of a symmetric matrix as columns [size, count], and the roots of their eigenvalues, largest first; 0 for a negative one. */
export function largestEigenvectors(symmetric: Float64Array, size: number, count: number) {
  const { eigenvectorMatrix, realEigenvalues } = new EigenvalueDecomposition(Matrix.from1DArray(size, size, symmetric), {
    assumeSymmetric: true,
  });
  const order = [...realEigenvalues.keys()].sort((a, b) => (realEigenvalues[b] ?? 0) - (realEigenvalues[a] ?? 0)).slice(0, count);
  return {
    values: Float64Array.from(order, (index) => Math.sqrt(Math.max(0, realEigenvalues[index] ?? 0))),
    vectors: Float64Array.from({ length: size * count }, (_, at) => eigenvectorMatrix.get(Math.floor(at / count), order[at % count] ?? 0)),
  };
}

/** A direction without length has no partner: nothing is left of it. */
const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
