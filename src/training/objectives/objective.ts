import type { Batch } from "../../data/batch.js";
import type { Graph, Tensor } from "../../graph/graph.js";
import type { HeadContext, HeadParameter } from "../../models/architecture.js";
import type { HeadUse } from "../../models/parts/vocabulary-head.js";
import type { HostData } from "../../runtime/engine.js";

/** Symbol of the number of places where something is learned, padded to a bucket. */
export const SUPERVISED = "supervised";

/** What an objective writes into a graph behind a model's hidden states. */
export interface ObjectiveContext extends HeadContext {
  readonly graph: Graph;
  /** Hidden states after the model's final norm, [N, C]. */
  readonly hidden: Tensor;
  /** What turns states [N, C] into logits in a language model. */
  head(x: Tensor): HeadUse;
  /** The rows of `hidden` at which something is learned, int64 [S]. */
  readonly rows: Tensor;
  /** Most learned places of a batch. */
  readonly maxSupervised: number;
  /** Whether gradients will be taken. */
  readonly differentiable: boolean;
}

/** The end of a graph. */
export interface WrittenObjective {
  /** The loss at each learned place [S]; a step sums them by the batch's weights. */
  readonly losses: Tensor;
  /** What the model says at each place [S, K]; absent where that is too large to leave the engine. */
  readonly outputs?: Tensor;
  /** The number of learned places that the program is fed is a multiple of this. */
  readonly supervisedMultiple: number;
}

/**
 * What a run learns: what it reads of a batch beside the tokens, the loss at each learned place, and what it trains beside the
 * adapter. The count that a summed loss is divided by is the sum of the batch's weights: tokens, examples, or what
 * they count for.
 */
export interface Objective {
  /** What is trained whole beside the adapter: a head. */
  readonly parameters: readonly HeadParameter[];
  /** The loss at a place depends on the others of the batch: the sums of small batches are not the sum of a large one. */
  readonly inBatch?: true;
  write(context: ObjectiveContext): WrittenObjective;
  /** Its own inputs, out of a batch. */
  feeds(batch: Batch): Readonly<Record<string, HostData>>;
}
