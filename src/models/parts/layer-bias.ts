import type { Tensor } from "../../graph/graph.js";
import { add } from "../../ops/add.js";
import { frozenLinear } from "../../ops/frozen-linear.js";
import { linear } from "../../ops/linear.js";
import type { LinearLayer, ModelContext } from "../architecture.js";

/** The frozen linear layers of a model: those whose checkpoint has a bias add it to x·Wᵀ. */
export interface FrozenLayers {
  /** x [N, in] → x·Wᵀ [N, out]. */
  product(x: Tensor, layer: LinearLayer): Tensor;
  addBias(y: Tensor, layer: LinearLayer): Tensor;
}

/** Frozen layers whose biases are among the weights that a model reads. */
export function frozenLayersOf(product: FrozenLayers["product"], weight: ModelContext["weight"]): FrozenLayers {
  return {
    product,
    addBias: (y, { name, outputs, hasBias }) => (hasBias ? add(y, weight(`${name}.bias`, [outputs])) : y),
  };
}

/** x [N, in], W [out, in] → x·Wᵀ [N, out]: W as it is stored where it is frozen, else as it is fed. */
export const throughWeight = (x: Tensor, weight: Tensor): Tensor =>
  weight.source.kind === "weight" ? frozenLinear(x, weight) : linear(x, weight);

/** x [N, in] through a layer as the checkpoint has it, [N, out]. */
export function throughFrozen({ product, addBias }: FrozenLayers, x: Tensor, layer: LinearLayer): Tensor {
  return addBias(product(x, layer), layer);
}
