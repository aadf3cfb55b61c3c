import type { Directions } from "./directions.js";

/** How large a layer's change is, and in how many directions. */
export interface Decomposition {
  /** Frobenius norm of ΔW. */
  readonly norm: number;
  /** Singular values of ΔW, largest first; as many as the rank (fewer where the layer is smaller). */
  readonly singularValues: readonly number[];
  /** The number of directions that the change really uses, between 1 and the rank; 0 where nothing has changed. */
  readonly effectiveRank: number;
}

export function decompositionOf({ values }: Directions): Decomposition {
  const singularValues = [...values];
  return { norm: Math.hypot(...singularValues), singularValues, effectiveRank: effectiveRank(singularValues) };
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
