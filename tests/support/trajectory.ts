import type { Batch } from "../../src/data/batch.js";
import { type AdapterLayout, viewOf } from "../../src/lora/layout.js";
import type { GradientProgram } from "../../src/training/gradient-program.js";
import { createOptimizer, type UpdateForm } from "../../src/training/optimizer.js";
import { runTrainer } from "../../src/training/trainer.js";
import type { Checkpoint } from "../../src/weights/checkpoint.js";
import { drain, inTurn, settingsOf, stepsOf, surroundings } from "../training/support.js";
import { relativeError } from "./compare.js";

/** A run of AdamW that PyTorch made: the mean loss and the norm of the gradients at each step. */
export interface Trajectory {
  readonly options: Readonly<Record<"learningRate" | "clip" | "beta1" | "beta2" | "epsilon" | "weightDecay", number>>;
  readonly loss: readonly number[];
  readonly gradientNorm: readonly number[];
}

/** Trains as long as a trajectory, with its options, on the batches in turn; `form` is what its adapter makes of an update. */
export async function repeatTrajectory(
  program: GradientProgram,
  { options, loss }: Pick<Trajectory, "options" | "loss">,
  batches: readonly Batch[],
  start: Float32Array,
  form?: UpdateForm,
): Promise<{ loss: number[]; gradientNorm: number[]; trainables: Float32Array }> {
  const { learningRate, clip, ...adamw } = options;
  const trainables = start.slice();
  const run = runTrainer(settingsOf({ length: { kind: "steps", steps: loss.length }, learningRate, clip }), {
    gradient: (batch, _number, values, gradient) => program.run(batch, values, gradient),
    stream: inTurn([...batches]),
    optimizer: createOptimizer({ kind: "adamw", ...adamw }, trainables.length, undefined, form),
    trainables,
    ...surroundings(),
  });
  const steps = stepsOf((await drain(run)).events);
  return { loss: steps.map((step) => step.loss), gradientNorm: steps.map((step) => step.gradientNorm), trainables };
}

/** The parts of a vector whose relative error against PEFT's tensors behind `prefix` is above the tolerance, each with its error. */
export async function tensorsUnlike(
  { layout, golden }: { readonly layout: AdapterLayout; readonly golden: Checkpoint },
  vector: Float32Array,
  prefix: string,
  tolerance: number,
): Promise<string[]> {
  const found: string[] = [];
  for (const [name, entry] of layout.entries) {
    const error = relativeError(viewOf(vector, entry), await golden.readFloat32(`${prefix}base_model.model.${name}`));
    if (!(error <= tolerance)) found.push(`${name}: ${error}`);
  }
  return found;
}
