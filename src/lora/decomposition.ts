import { Matrix, QrDecomposition, SingularValueDecomposition } from "ml-matrix";
import { InputError } from "../errors.js";
import type { AdapterLayer } from "./adapter.js";

/** How large a layer's change is, and in how many directions. */
export interface Decomposition {
  /** Frobenius norm of ΔW. */
  readonly norm: number;
  /** Singular values of ΔW, largest first; as many as the rank (fewer where the layer is smaller). */
  readonly singularValues: readonly number[];
  /** The number of directions that the change really uses, between 1 and the rank; 0 where nothing has changed. */
  readonly effectiveRank: number;
}

/**
 * Singular values of ΔW = s·B·A without forming it. With B = Q₁R₁ and Aᵀ = Q₂R₂, ΔW = s·Q₁(R₁R₂ᵀ)Q₂ᵀ, and the Q keep lengths: the r×r core
 * s·R₁R₂ᵀ has the same singular values.
 */
export function decompose(layer: AdapterLayer): Decomposition {
  const { rank, inputs, outputs, scale } = layer;
  if (!layer.a.every(Number.isFinite) || !layer.b.every(Number.isFinite)) {
    throw new InputError(
      `Layer ${layer.name}: its matrices hold values that are not finite (NaN or infinity). The adapter is damaged; train it again.`,
    );
  }
  const b = Matrix.from1DArray(outputs, rank, layer.b);
  const aTransposed = Matrix.from1DArray(rank, inputs, layer.a).transpose();
  const core = triangularFactor(b).mmul(triangularFactor(aTransposed).transpose()).mul(scale);
  const singularValues = new SingularValueDecomposition(core, {
    computeLeftSingularVectors: false,
    computeRightSingularVectors: false,
    autoTranspose: true,
  }).diagonal.sort((x, y) => y - x);
  return { norm: core.norm("frobenius"), singularValues, effectiveRank: effectiveRank(singularValues) };
}

/** R of M = QR; M itself where it is wider than tall, and so no larger than R would be. */
function triangularFactor(matrix: Matrix): Matrix {
  return matrix.rows < matrix.columns ? matrix : new QrDecomposition(matrix).upperTriangularMatrix;
}

/**
 * exp(−Σ pᵢ ln pᵢ), pᵢ = σᵢ / Σσ: the exponential of the entropy of the singular values.
 * Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality", definition 1.
 */
export function effectiveRank(singularValues: readonly number[]): number {
  const sum = singularValues.reduce((total, value) => total + value, 0);
  if (sum === 0) return 0;
  const entropy = singularValues.reduce((total, value) => total - (value === 0 ? 0 : (value / sum) * Math.log(value / sum)), 0);
  return Math.exp(entropy);
}
