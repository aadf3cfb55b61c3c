import type { Adapter } from "../../lora/adapter.js";
import { type InferenceAdapter, inferenceAdapter } from "../../lora/inference.js";
import type { LinearLayer } from "../../lora/layer.js";
import type { DescribedWeights } from "./described-model.js";

/** The frozen weights of a model's layers, in float32, as an adapter may ask for them. */
export function weightsOf({ checkpoint }: Pick<DescribedWeights, "checkpoint">): (layer: LinearLayer) => Promise<Float32Array> {
  return ({ name }) => checkpoint.readFloat32(`${name}.weight`);
}

/** An adapter that fits a model, as programs that answer or measure apply it. */
export function appliedTo(described: Pick<DescribedWeights, "model" | "checkpoint">, adapter: Adapter): Promise<InferenceAdapter> {
  return inferenceAdapter(adapter, described.model, weightsOf(described));
}
