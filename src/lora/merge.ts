import { InputError } from "../errors.js";
import { mergeInto } from "./kernels/merge.js";
import type { LinearLayer } from "./layer.js";
import type { InferenceForm } from "./variants/variant.js";

/**
 * The weight of an adapted layer with its adapter folded in, W' = gain ⊙ W + s·B·A, in a new array: W [outputs, inputs].
 * Hu et al. 2021, section 4.1, "No Additional Inference Latency".
 */
export function mergedWeight(weight: Float32Array, layer: Pick<LinearLayer, "name">, form: InferenceForm): Float32Array<ArrayBuffer> {
  const [outputs, inputs] = [form.b.length / form.rank, form.a.length / form.rank];
  const expected = outputs * inputs;
  if (weight.length !== expected) {
    throw new InputError(
      `Layer ${layer.name}: its weight has ${weight.length} values, the adapter expects ${expected} ([${outputs}, ${inputs}]). The adapter belongs to another model.`,
    );
  }
  const merged = new Float32Array(expected);
  mergeInto(merged, weight, form);
  return merged;
}
