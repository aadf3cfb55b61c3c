import type { Tensor } from "../../graph/graph.js";
import { add } from "../../ops/add.js";
import type { LinearLayer, ModelContext } from "../architecture.js";

/** A model's frozen layers as their checkpoint has them: those with a bias add it to what `product`, x·Wᵀ, gives. */
export function withBias(
  product: (x: Tensor, layer: LinearLayer) => Tensor,
  weight: ModelContext["weight"],
): (x: Tensor, layer: LinearLayer) => Tensor {
  return (x, layer) => {
    const y = product(x, layer); // [N, out]
    return layer.hasBias ? add(y, weight(`${layer.name}.bias`, [layer.outputs])) : y;
  };
}
