export interface AdamWStep {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** The number of this update, from 1. */
  readonly step: number;
}

/**
 * One update of AdamW (Loshchilov & Hutter 2019, algorithm 2, with the decay multiplied by the learning rate as PyTorch
 * does): m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², θ ← θ(1 − ηλ) − η·m̂/(√v̂ + ε). All in place.
 */
export function adamw(
  parameters: Float32Array,
  gradient: Float32Array,
  first: Float32Array,
  second: Float32Array,
  settings: AdamWStep,
): void {
  const { learningRate, beta1, beta2, epsilon, weightDecay, step } = settings;
  const stepSize = learningRate / (1 - beta1 ** step);
  const correction = Math.sqrt(1 - beta2 ** step);
  const keep = 1 - learningRate * weightDecay;
  for (let i = 0; i < parameters.length; i++) {
    const g = gradient[i]!;
    const m = beta1 * first[i]! + (1 - beta1) * g;
    const v = beta2 * second[i]! + (1 - beta2) * g * g;
    first[i] = m;
    second[i] = v;
    parameters[i] = parameters[i]! * keep - (stepSize * m) / (Math.sqrt(v) / correction + epsilon);
  }
}

export interface SgdStep {
  readonly learningRate: number;
  readonly momentum: number;
  readonly weightDecay: number;
}

/**
 * One update of gradient descent with momentum (Sutskever et al. 2013, in PyTorch's form): u ← μu + g + λθ,
 * θ ← θ − ηu. All in place.
 */
export function sgd(parameters: Float32Array, gradient: Float32Array, velocity: Float32Array, settings: SgdStep): void {
  const { learningRate, momentum, weightDecay } = settings;
  for (let i = 0; i < parameters.length; i++) {
    const u = momentum * velocity[i]! + gradient[i]! + weightDecay * parameters[i]!;
    velocity[i] = u;
    parameters[i] = parameters[i]! - learningRate * u;
  }
}
