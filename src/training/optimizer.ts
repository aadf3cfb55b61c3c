import { adamw, sgd } from "./kernels/optimizers.js";

export type OptimizerSettings =
  | { readonly kind: "adamw"; readonly beta1: number; readonly beta2: number; readonly epsilon: number; readonly weightDecay: number }
  | { readonly kind: "sgd"; readonly momentum: number; readonly weightDecay: number };

/** Vectors that an optimizer keeps beside the trainables, by name; plain data, so that a checkpoint can hold them. */
export type OptimizerState = Readonly<Record<string, Float32Array>>;

export interface Optimizer {
  readonly state: OptimizerState;
  /** Changes the trainables in place. `step` counts updates from 1. */
  update(trainables: Float32Array, gradient: Float32Array, learningRate: number, step: number): void;
}

/**
 * @param saved the state of a run that is resumed; its vectors are used and changed in place
 * @throws when a saved vector is missing or has another length.
 */
export function createOptimizer(settings: OptimizerSettings, length: number, saved?: OptimizerState): Optimizer {
  const vector = (name: string): Float32Array => {
    if (saved === undefined) return new Float32Array(length);
    const values = saved[name];
    if (values?.length !== length) throw new Error(`the checkpoint's "${name}" has ${values?.length ?? 0} values, not ${length}`);
    return values;
  };
  switch (settings.kind) {
    case "adamw": {
      const state = { firstMoment: vector("firstMoment"), secondMoment: vector("secondMoment") };
      return {
        state,
        update: (trainables, gradient, learningRate, step) =>
          adamw(trainables, gradient, state.firstMoment, state.secondMoment, { ...settings, learningRate, step }),
      };
    }
    case "sgd": {
      const state = { velocity: vector("velocity") };
      return {
        state,
        update: (trainables, gradient, learningRate) => sgd(trainables, gradient, state.velocity, { ...settings, learningRate }),
      };
    }
  }
}
