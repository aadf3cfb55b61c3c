import { followSensitivity, sumOfImportance } from "../kernels/importance.js";
import { addOrthogonality } from "../kernels/orthogonality.js";
import type { AdaptedLayer } from "../layer.js";
import { A, B, E } from "./adalora-names.js";
import type { RankBudget, ShapedLayers, UpdateShaping, VariantSettings } from "./variant.js";

/** Vectors that are kept beside the trainables: running means of importance, and 1 at each e that is pruned for good. */
const MEAN = "importance";
const DEVIATION = "uncertainty";
const PRUNED = "pruned";

/**
 * The ranks that all layers have together at an update (Zhang et al. 2023, "AdaLoRA", eq. 12): the first ones, then falling by a cubic,
 * then the target; undefined where nothing is pruned at it. As PEFT's `budget_schedule` and `update_and_allocate`, which count from 1.
 */
export function budgetAt(
  step: number,
  first: number,
  target: number,
  { initial, final, every, total }: RankBudget["steps"],
): number | undefined {
  const end = total - final;
  if (step === end) return target;
  if (step <= initial || step > end || step % every !== 0) return undefined;
  const left = 1 - (step - initial) / (end - initial);
  return Math.trunc((first - target) * left ** 3 + target);
}

/** What AdaLoRA does at each update: the penalty that keeps A and B orthogonal (its eq. 4), and pruning. */
export function rankAllocation({ layers, view }: ShapedLayers, { budget }: VariantSettings): UpdateShaping {
  if (budget === undefined) throw new Error("AdaLoRA is trained with a budget");
  const first = layers.reduce((sum, { rank }) => sum + rank, 0);
  const target = budget.targetRank * layers.length;
  const end = budget.steps.total - budget.steps.final;
  return {
    state: [MEAN, DEVIATION, PRUNED],
    settledFrom: end,
    penalise(trainables, gradient) {
      const weight = budget.orthogonality / (2 * layers.length);
      let sum = 0;
      for (const layer of layers) {
        const { rank, inputs, outputs } = layer;
        const of = (name: string) => [view(trainables, layer, name), view(gradient, layer, name)] as const;
        sum += addOrthogonality(...of(A), { rows: rank, columns: inputs, rowStep: inputs, columnStep: 1 }, weight);
        sum += addOrthogonality(...of(B), { rows: rank, columns: outputs, rowStep: 1, columnStep: rank }, weight);
      }
      return weight * sum;
    },
    settle(trainables, gradient, step, vectorOf) {
      const [mean, deviation, pruned] = [vectorOf(MEAN), vectorOf(DEVIATION), vectorOf(PRUNED)];
      const values = (layer: AdaptedLayer) => view(trainables, layer, E);
      if (step > end) {
        for (const layer of layers) zeroWhere(values(layer), view(pruned, layer, E));
        return;
      }
      if (step < end) followSensitivity(trainables, gradient, mean, deviation);
      const left = budgetAt(step, first, target, budget.steps);
      if (left === undefined) return;
      const scores = layers.map((layer) => importanceOf(layer, (vector, name) => view(vector, layer, name), mean, deviation));
      const threshold = first > left ? (scores.flat().sort((a, b) => a - b)[first - left - 1] ?? 0) : Number.NEGATIVE_INFINITY;
      for (const [index, layer] of layers.entries()) {
        const mask = view(pruned, layer, E);
        mask.set(scores[index]?.map((score) => Number(score <= threshold)) ?? []);
        zeroWhere(values(layer), mask);
      }
      if (step === end) for (const vector of [mean, deviation]) vector.fill(0);
    },
  };
}

function zeroWhere(values: Float32Array, mask: Float32Array): void {
  for (const [index, isPruned] of mask.entries()) if (isPruned === 1) values[index] = 0;
}

/** Of each triplet: that of its e, and the mean of those of its row of A and of its column of B (their eq. 7), as PEFT combines them. */
function importanceOf(
  { rank, inputs, outputs }: AdaptedLayer,
  view: (vector: Float32Array, name: string) => Float32Array,
  mean: Float32Array,
  deviation: Float32Array,
): number[] {
  const [ofA, ofB, ofE] = [A, B, E].map((name) => [view(mean, name), view(deviation, name)] as const);
  if (ofA === undefined || ofB === undefined || ofE === undefined) return [];
  return Array.from({ length: rank }, (_, r) => {
    const row = sumOfImportance(...ofA, { from: r * inputs, count: inputs, step: 1 }) / inputs;
    const column = sumOfImportance(...ofB, { from: r, count: outputs, step: rank }) / outputs;
    return sumOfImportance(...ofE, { from: r, count: 1, step: 1 }) + row + column;
  });
}
