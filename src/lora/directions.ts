import { Matrix, SingularValueDecomposition } from "ml-matrix";
import { InputError } from "../errors.js";
import { orthonormalColumns, product, transposed, transposedProduct } from "./kernels/products.js";
import type { AdapterLayer } from "./layer.js";

/** The directions of a change ΔW = U·diag(σ)·Vᵀ: what it reads (V) and what it writes (U), the strongest first. */
export interface Directions {
  readonly left: Float64Array; // U [outputs, count]
  readonly values: Float64Array; // σ [count]
  readonly right: Float64Array; // V [inputs, count]
}

/**
 * Singular values and vectors of ΔW = s·B·A from its small factors. With B = Q₁R₁ and Aᵀ = Q₂R₂, ΔW = Q₁(s·R₁R₂ᵀ)Q₂ᵀ, and the Q keep
 * lengths and angles: the SVD of the r × r core, turned by them, is that of ΔW. As many as the rank; fewer where the layer is smaller.
 *
 * @throws InputError where a value is not finite
 */
export function directionsOf(layer: AdapterLayer): Directions {
  const { rank, inputs, outputs, scale, a, b } = layer;
  if (!a.every(Number.isFinite) || !b.every(Number.isFinite)) {
    throw new InputError(
      `Layer ${layer.name}: its matrices hold values that are not finite (NaN or infinity). The adapter is damaged; train it again.`,
    );
  }
  const [wide, tall] = [Math.min(rank, inputs), Math.min(rank, outputs)];
  const aTransposed = transposed(a, rank, inputs); // [inputs, rank]
  const q1 = orthonormalColumns(b, outputs, rank, tall); // [outputs, tall]
  const q2 = orthonormalColumns(aTransposed, inputs, rank, wide); // [inputs, wide]
  const r1 = transposedProduct(q1, b, outputs, tall, rank); // Q₁ᵀB [tall, rank]
  const r2 = transposedProduct(aTransposed, q2, inputs, rank, wide); // A·Q₂ [rank, wide]
  const core = product(r1, r2, tall, rank, wide).map((value) => scale * value);
  const { left, values, right } = coreDirections(core, tall, wide);
  const count = values.length;
  return { left: product(q1, left, outputs, tall, count), values, right: product(q2, right, inputs, wide, count) };
}

/** The SVD of a small matrix [rows, columns], largest value first. */
function coreDirections(core: Float64Array, rows: number, columns: number): Directions {
  const found = new SingularValueDecomposition(Matrix.from1DArray(rows, columns, core), { autoTranspose: true });
  const count = Math.min(rows, columns);
  const order = found.diagonal
    .map((_, index) => index)
    .sort((x, y) => (found.diagonal[y] ?? 0) - (found.diagonal[x] ?? 0))
    .slice(0, count);
  const pick = (vectors: Matrix, length: number) =>
    Float64Array.from({ length: length * count }, (_, at) => vectors.get(Math.floor(at / count), order[at % count] ?? 0));
  return {
    left: pick(found.leftSingularVectors, rows),
    values: Float64Array.from(order, (index) => found.diagonal[index] ?? 0),
    right: pick(found.rightSingularVectors, columns),
  };
}
