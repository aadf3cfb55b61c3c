import { gradients as sweep } from "../graph/gradients.js";
import type { Tensor } from "../graph/graph.js";
import { add } from "./add.js";
import { addToFrozenGradient } from "./frozen-linear.js";
import { addToProduct } from "./matrix-product.js";
import { sumTo } from "./sum-to.js";

/**
 * Gradients of a scalar loss for each trainable tensor.
 *
 * @throws when a trainable does not reach the loss.
 */
export function gradients(loss: Tensor, trainables: readonly Tensor[]): Tensor[] {
  const seed = loss.graph.scalar(1);
  return sweep(loss, seed, trainables, {
    accumulate: (sum, term) => addToProduct(sum, term) ?? addToFrozenGradient(sum, term) ?? add(sum, term),
    sumTo,
  });
}
