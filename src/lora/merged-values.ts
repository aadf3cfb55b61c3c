import { type Checkpoint, elementCount, readSlabs, type StoredTensor } from "../weights/checkpoint.js";
import type { Adapter, AdapterLayer } from "./adapter.js";
import { mergedWeight } from "./merge.js";
import type { RoundingMeter } from "./merge-rounding.js";
import { variantOf } from "./variants/index.js";

/** The layers of an adapter by the name of the weight that each changes. */
export function layersByWeight({ layers }: Pick<Adapter, "layers">): ReadonlyMap<string, AdapterLayer> {
  return new Map(layers.map((layer) => [`${layer.name}.weight`, layer]));
}

/**
 * The values of a model's tensor in order, with an adapter folded in where it sits at the layer: a matrix as [out, in]. What no adapter
 * changes comes a slab at a time.
 *
 * @param layer the adapter's layer at this tensor, if it has one
 * @param meter is told of a merged layer
 */
export async function* mergedValues(
  tensor: StoredTensor,
  checkpoint: Pick<Checkpoint, "readFloat32">,
  { config }: Pick<Adapter, "config">,
  layer: AdapterLayer | undefined,
  meter?: RoundingMeter,
): AsyncGenerator<Float32Array<ArrayBuffer>> {
  if (layer === undefined) return yield* readSlabs(tensor);
  const weight = await checkpoint.readFloat32(tensor.name);
  const merged = mergedWeight(weight, layer, await variantOf(config.method).inference(layer, async () => weight));
  meter?.merged(tensor.name, weight, merged);
  yield merged;
}

/** The same, all at once. */
export async function mergedTensor(...request: Parameters<typeof mergedValues>): Promise<Float32Array<ArrayBuffer>> {
  const whole = new Float32Array(elementCount(request[0].shape) ?? 0);
  let at = 0;
  for await (const slab of mergedValues(...request)) {
    whole.set(slab, at);
    at += slab.length;
  }
  return whole;
}
