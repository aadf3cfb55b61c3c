import type { RateSpan } from "../lora/learning-rates.js";
import type { UpdateShaping } from "../lora/variants/variant.js";
import { adamw, sgd } from "./kernels/optimizers.js";
import { norm, scale } from "./kernels/vector.js";

export type OptimizerSettings =
  | { readonly kind: "adamw"; readonly beta1: number; readonly beta2: number; readonly epsilon: number; readonly weightDecay: number }
  | { readonly kind: "sgd"; readonly momentum: number; readonly weightDecay: number };

/** Vectors that an optimizer keeps beside the trainables, by name; plain data, so that a checkpoint can hold them. */
export type OptimizerState = Readonly<Record<string, Float32Array>>;

/** What one update needs to know beside the vectors. */
export interface UpdateStep {
  /** What the learned places of the whole accumulation window count for: the summed gradient is divided by it. */
  readonly count: number;
  /** Largest global norm of the mean gradient; 0 for no clipping. */
  readonly clip: number;
  readonly learningRate: number;
  /** The number of this update, from 1. */
  readonly step: number;
}

export interface Optimizer {
  readonly state: OptimizerState;
  /**
   * Divides the summed gradient by its count, clips it, and changes the trainables in place. The gradient's memory may be
   * used as scratch.
   *
   * @returns the mean gradient's norm before clipping; where it is not finite, nothing has been changed
   */
  update(trainables: Float32Array, gradient: Float32Array, step: UpdateStep): Promise<number>;
  /** Gives back what the engine holds for it, if anything. */
  release?(): Promise<void>;
}

/** Keeps the division by a vanishing norm finite, as PyTorch's clip_grad_norm_ does. */
const NORM_EPSILON = 1e-6;

/** What an adapter makes of an update. */
export interface UpdateForm {
  /** Stretches of the vector with learning rates of their own, all of it together. */
  readonly rates?: readonly RateSpan[] | undefined;
  readonly shaping?: UpdateShaping | undefined;
}

/**
 * An optimizer of plain loops, for the processor.
 *
 * @param saved the state of a run that is resumed; its vectors are used and changed in place
 * @throws when a saved vector is missing or has another length.
 */
export function createOptimizer(
  settings: OptimizerSettings,
  length: number,
  saved?: OptimizerState,
  { rates = [{ start: 0, end: length, factor: 1, decays: true }], shaping }: UpdateForm = {},
): Optimizer {
  const vector = (name: string) => stateVector(name, length, saved);
  const { state: own, apply } = rule(settings, vector);
  const kept: Readonly<Record<string, Float32Array>> = Object.fromEntries(shaping?.state.map((name) => [name, vector(name)]) ?? []);
  return {
    state: { ...own, ...kept },
    async update(trainables, gradient, step) {
      scale(gradient, 1 / step.count);
      shaping?.penalise(trainables, gradient);
      const gradientNorm = norm(gradient);
      if (!Number.isFinite(gradientNorm)) return gradientNorm;
      if (step.clip > 0) scale(gradient, Math.min(1, step.clip / (gradientNorm + NORM_EPSILON)));
      for (const { start, end, factor, decays } of rates) {
        const part = (vector: Float32Array) => vector.subarray(start, end);
        apply(trainables, gradient, { ...step, learningRate: factor * step.learningRate, decays }, part);
      }
      shaping?.settle(trainables, gradient, step.step, (name) => kept[name] ?? vector(name));
      return gradientNorm;
    },
  };
}

/** A vector of the optimizer's state: the saved one, or zeros. */
export function stateVector(name: string, length: number, saved: OptimizerState | undefined): Float32Array {
  if (saved === undefined) return new Float32Array(length);
  const values = saved[name];
  if (values?.length !== length) throw new Error(`the checkpoint's "${name}" has ${values?.length ?? 0} values, not ${length}`);
  return values;
}

interface Rule {
  readonly state: OptimizerState;
  /** @param part the stretch of a vector that is changed */
  readonly apply: (
    trainables: Float32Array,
    gradient: Float32Array,
    step: UpdateStep & Pick<RateSpan, "decays">,
    part: (vector: Float32Array) => Float32Array,
  ) => void;
}

function rule(settings: OptimizerSettings, vector: (name: string) => Float32Array): Rule {
  switch (settings.kind) {
    case "adamw": {
      const state = { firstMoment: vector("firstMoment"), secondMoment: vector("secondMoment") };
      return {
        state,
        apply: (trainables, gradient, { learningRate, step, decays }, part) =>
          adamw(part(trainables), part(gradient), part(state.firstMoment), part(state.secondMoment), {
            ...settings,
            weightDecay: decays ? settings.weightDecay : 0,
            learningRate,
            step,
          }),
      };
    }
    case "sgd": {
      const state = { velocity: vector("velocity") };
      return {
        state,
        apply: (trainables, gradient, { learningRate, decays }, part) =>
          sgd(part(trainables), part(gradient), part(state.velocity), {
            ...settings,
            weightDecay: decays ? settings.weightDecay : 0,
            learningRate,
          }),
      };
    }
  }
}
