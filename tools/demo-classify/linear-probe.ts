import { minimise } from "./minimise.js";

/** A logistic regression: scores of K classes from D features, W·x + b. */
export interface LinearProbe {
  readonly weights: Float64Array; // [K, D]
  readonly biases: Float64Array; // [K]
}

export interface ProbeData {
  /** Row-major [N, D]. */
  readonly features: Float32Array;
  /** Numbers of classes [N]. */
  readonly classes: ArrayLike<number>;
  readonly classCount: number;
}

/**
 * Fits a logistic regression: the minimum of Σ −log softmax(W·x + b)_class + ‖W‖² / (2·strength). This is scikit-learn's
 * LogisticRegression(C = strength) for three classes or more; for two, which it gives one row of weights, its C = 2·strength.
 */
export function fitLinearProbe({ features, classes, classCount }: ProbeData, strength = 1): LinearProbe {
  const count = classes.length;
  const size = features.length / count;
  const split = (point: Float64Array): LinearProbe => ({
    weights: point.subarray(0, classCount * size),
    biases: point.subarray(classCount * size),
  });
  const point = minimise(new Float64Array(classCount * (size + 1)), (at, gradient) => {
    const probe = split(at);
    const into = split(gradient.fill(0));
    let loss = 0;
    for (let n = 0; n < count; n++) {
      const x = features.subarray(n * size, (n + 1) * size);
      const p = probabilities(probe, x);
      const right = classes[n] ?? 0;
      loss -= Math.log(Math.max(p[right] ?? 0, Number.MIN_VALUE));
      for (let k = 0; k < classCount; k++) {
        const pull = (p[k] ?? 0) - (k === right ? 1 : 0);
        into.biases[k] = (into.biases[k] ?? 0) + pull;
        addScaled(into.weights.subarray(k * size, (k + 1) * size), x, pull);
      }
    }
    addScaled(into.weights, probe.weights, 1 / strength);
    return loss + probe.weights.reduce((sum, w) => sum + w * w, 0) / (2 * strength);
  });
  return split(point);
}

/** The probability of each class of one example [D] → [K]. */
export function probabilities({ weights, biases }: LinearProbe, x: Float32Array): Float64Array {
  const size = x.length;
  const scores = biases.map((bias, k) => weights.subarray(k * size, (k + 1) * size).reduce((sum, w, d) => sum + w * (x[d] ?? 0), bias));
  const largest = scores.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY);
  const exponentials = scores.map((score) => Math.exp(score - largest));
  const total = exponentials.reduce((sum, value) => sum + value, 0);
  return exponentials.map((value) => value / total);
}

function addScaled(into: Float64Array, values: ArrayLike<number>, factor: number): void {
  for (let i = 0; i < into.length; i++) into[i] = (into[i] ?? 0) + factor * (values[i] ?? 0);
}
