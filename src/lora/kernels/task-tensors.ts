// Sums of tensors that several adapters have for one place, as PEFT's merge_utils.py makes them.

/** How the sign of a value that several tensors have is chosen: by the sum of the values, or by how many have each. */
export type SignChoice = "total" | "frequency";

/** Leaves the k = ⌊density · n⌋ values of the largest magnitude, and zeros; of equal magnitudes the first (TIES, Yadav et al. 2023, section 4). */
export function keepLargest(tensor: ArrayLike<number>, density: number): Float64Array {
  const kept = new Float64Array(tensor.length);
  const count = Math.trunc(density * tensor.length);
  if (count === 0) return kept;
  const sizes = Float64Array.from(tensor, Math.abs).sort();
  const threshold = sizes[sizes.length - count]!;
  let equal = count;
  for (let at = 0; at < tensor.length; at++) if (Math.abs(tensor[at]!) > threshold) equal--;
  for (let at = 0; at < tensor.length; at++) {
    const size = Math.abs(tensor[at]!);
    if (size > threshold || (size === threshold && equal-- > 0)) kept[at] = tensor[at]!;
  }
  return kept;
}

/** Leaves the values where a mask is not zero, divided by the share of them that is expected (DARE, Yu et al. 2024, eq. 3). */
export function keepMasked(tensor: ArrayLike<number>, mask: ArrayLike<number>, density: number): Float64Array {
  const kept = new Float64Array(tensor.length);
  for (let at = 0; at < tensor.length; at++) if (mask[at] !== 0) kept[at] = tensor[at]! / density;
  return kept;
}

/** Σ xᵢ·yᵢ of two tensors. */
export function dotProduct(x: ArrayLike<number>, y: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < x.length; at++) sum += x[at]! * y[at]!;
  return sum;
}

/** Σ wᵢ·tᵢ. */
export function weightedSum(tensors: readonly ArrayLike<number>[], weights: readonly number[]): Float64Array {
  const result = new Float64Array(tensors[0]?.length ?? 0);
  for (const [index, tensor] of tensors.entries()) {
    const weight = weights[index]!;
    for (let at = 0; at < result.length; at++) result[at]! += weight * tensor[at]!;
  }
  return result;
}

/**
 * The mean over those values wᵢ·tᵢ whose tᵢ has the sign that most of the whole has (TIES, Yadav et al. 2023, section 4); the weights have
 * no say in the sign. A sum of zero counts as positive.
 */
export function electedMean(tensors: readonly ArrayLike<number>[], weights: readonly number[], choice: SignChoice): Float64Array {
  const result = new Float64Array(tensors[0]?.length ?? 0);
  for (let at = 0; at < result.length; at++) {
    let total = 0;
    for (const tensor of tensors) total += choice === "total" ? tensor[at]! : Math.sign(tensor[at]!);
    const sign = total >= 0 ? 1 : -1;
    let [sum, count] = [0, 0];
    for (const [index, tensor] of tensors.entries()) {
      if (Math.sign(tensor[at]!) !== sign) continue;
      sum += weights[index]! * tensor[at]!;
      count++;
    }
    result[at] = sum / Math.max(1, count);
  }
  return result;
}

/** Σ x². */
export function sumOfSquares(values: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < values.length; at++) sum += values[at]! ** 2;
  return sum;
}
