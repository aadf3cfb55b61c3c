import { product } from "../../graph/dimension.js";
import type { Tensor } from "../../graph/graph.js";
import { reshape } from "../../ops/reshape.js";
import { extent } from "../../ops/types.js";

/** Names of the symbolic dimensions of every program: B sequences of T tokens, N = B·T rows. */
export const BATCH = "batch";
export const TOKENS = "tokens";
export const ROWS = product(BATCH, TOKENS);

/** [N, C] → [B, T, C]. */
export function bySequence(rows: Tensor): Tensor {
  return reshape(rows, [BATCH, TOKENS, extent(rows.shape, 1)]);
}

/** [B, T, C] → [N, C]. */
export function byRow(sequences: Tensor): Tensor {
  return reshape(sequences, [ROWS, extent(sequences.shape, 2)]);
}
