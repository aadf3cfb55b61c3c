import type { Tensor } from "../../graph/graph.js";
import { linear } from "../../ops/linear.js";
import type { BesideVocabulary } from "../../ops/vocabulary-loss.js";

/** How a language model's head is read: its weight [V, C], and a low-rank matrix beside it. */
export interface HeadUse {
  readonly weight: Tensor;
  readonly beside: BesideVocabulary | undefined;
}

/** Logits [N, V] with what is beside the weight. */
export const withBeside = (logits: Tensor, { beside }: HeadUse): Tensor =>
  beside === undefined ? logits : linear(beside.factors, beside.table, { addend: logits });
