import { gradients as sweep } from "../graph/gradients.js";
import type { Tensor } from "../graph/graph.js";
import { type Keeps, keepsProducts } from "../graph/recomputation.js";
import { add } from "./add.js";
import { addToFrozenGradient } from "./frozen-linear.js";
import { addToProduct } from "./matrix-product.js";
import { sumTo } from "./sum-to.js";

/**
 * Gradients of a scalar loss for each trainable tensor.
 *
 * @throws when a trainable does not reach the loss.
 */
export function gradients(loss: Tensor, trainables: readonly Tensor[], keeps: Keeps = keepsProducts): Tensor[] {
  const seed = loss.graph.scalar(1);
  const accumulate = (sum: Tensor, term: Tensor) => addToProduct(sum, term) ?? addToFrozenGradient(sum, term) ?? add(sum, term);
  return sweep(loss, seed, trainables, { accumulate, sumTo }, keeps);
}
