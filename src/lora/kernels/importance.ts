/** How much of a running mean of importance stays at each update: PEFT's defaults, and the paper's (its section 4.2). */
const KEPT = 0.85;

/**
 * The sensitivity I = |θ·∂L/∂θ| of every value, as running means of it and of how far it lies from that (Zhang et al. 2023, "AdaLoRA",
 * eqs. 9 to 11). Both means are changed in place.
 */
export function followSensitivity(values: Float32Array, gradient: Float32Array, mean: Float32Array, deviation: Float32Array): void {
  for (let at = 0; at < values.length; at++) {
    const sensitivity = Math.abs(values[at]! * gradient[at]!);
    mean[at] = KEPT * mean[at]! + (1 - KEPT) * sensitivity;
    deviation[at] = KEPT * deviation[at]! + (1 - KEPT) * Math.abs(sensitivity - mean[at]!);
  }
}

/** Σ mean·deviation over `count` values from `from` on, `step` apart. */
export function sumOfImportance(
  mean: Float32Array,
  deviation: Float32Array,
  { from, count, step }: { from: number; count: number; step: number },
): number {
  let sum = 0;
  for (let at = from; at < from + count * step; at += step) sum += mean[at]! * deviation[at]!;
  return sum;
}
