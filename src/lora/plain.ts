import { InputError } from "../errors.js";
import type { Adapter, AdapterLayer } from "./adapter.js";
import type { LinearLayer } from "./layer.js";
import { variantOf } from "./variants/index.js";

/** The frozen W [outputs, inputs] of a layer of the model that an adapter was trained for. */
export type WeightOf = (layer: LinearLayer) => Promise<Float32Array>;

/**
 * The layers of an adapter as plain pairs, y = x·Wᵀ + s·x·Aᵀ·Bᵀ, whatever its variant.
 *
 * @param name what messages call it
 * @param weightOf asked by variants that start from W
 * @throws InputError for a variant that is more than such a pair, and where W is needed and not given.
 */
export async function plainLayers({ config, layers }: Adapter, name: string, weightOf?: WeightOf): Promise<AdapterLayer[]> {
  const variant = variantOf(config.method);
  if (variant.hasGain) {
    throw new InputError(
      `${name} is an adapter of the method ${config.method}: it scales the outputs of its layers too, which is no sum of directions. Fold it into its model (lorikeet merge), and take the change of the model as an adapter (lorikeet extract).`,
    );
  }
  if (variant.hasOffset) {
    throw new InputError(
      `${name} is an adapter of the method ${config.method}: it adds to the biases of its layers too, which no pair of matrices holds. Fold it into its model: lorikeet merge.`,
    );
  }
  const plain: AdapterLayer[] = [];
  for (const layer of layers) {
    const { rank, scale, a, b } = await variant.inference(layer, async () => {
      if (weightOf === undefined)
        throw new InputError(
          `${name} is an adapter of the method ${config.method}, whose changes are known only beside the weights of its model. Give the model: --model MODEL.`,
        );
      return await weightOf(layer);
    });
    const { vectors: _, isWidest: _isWidest, ...rest } = layer;
    plain.push({ ...rest, inputs: a.length / rank, rank, scale, a, b });
  }
  return plain;
}
