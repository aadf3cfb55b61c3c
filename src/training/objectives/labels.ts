import type { Batch } from "../../data/batch.js";
import type { Tensor } from "../../graph/graph.js";
import type { ClassificationHead } from "../../models/architecture.js";
import { ROWS } from "../../models/parts/rows.js";
import { crossEntropy } from "../../ops/cross-entropy.js";
import { gatherRows } from "../../ops/gather-rows.js";
import { poolRows } from "../../ops/pool-rows.js";
import { reshape } from "../../ops/reshape.js";
import { squaredError } from "../../ops/squared-error.js";
import type { HostData } from "../../runtime/engine.js";
import { type Objective, type ObjectiveContext, SUPERVISED } from "./objective.js";

// A head on hidden states: of the place that stands for a text, or of each word. Which places these are is the examples' affair.

/** To tell the class: −log softmax(z) of the right one, in nats. Sums are by the weights of the classes, as PyTorch's CrossEntropyLoss. */
export function classification(head: ClassificationHead): Objective {
  return {
    parameters: head.parameters,
    write(context) {
      const targets = context.graph.input("targets", { dtype: "int64", shape: [SUPERVISED] });
      const logits = scores(head, context);
      return { losses: crossEntropy(logits, targets), outputs: logits, supervisedMultiple: 1 };
    },
    feeds: (batch) => ({ targets: batch.targets, ...pooled(head, batch) }),
  };
}

/** To tell a number: the squared error of a head's one output, as transformers has it for one label. */
export function regression(head: ClassificationHead): Objective {
  return {
    parameters: head.parameters,
    write(context) {
      const values = context.graph.input("values", { dtype: "float32", shape: [SUPERVISED] });
      const predicted = scores(head, context);
      return { losses: squaredError(reshape(predicted, [SUPERVISED]), values), outputs: predicted, supervisedMultiple: 1 };
    },
    feeds: (batch) => {
      if (batch.values === undefined) throw new Error("a regression needs examples with values");
      return { values: batch.values, ...pooled(head, batch) };
    },
  };
}

/** What a head says at each learned place [S, L]. */
function scores(head: ClassificationHead, context: ObjectiveContext): Tensor {
  const { graph, hidden, rows } = context;
  if (head.reads !== "mean") return head.logits(gatherRows(hidden, rows), context);
  return head.logits(poolRows(hidden, graph.input(SHARES, { dtype: "float32", shape: [SUPERVISED, ROWS] })), context);
}

const SHARES = "shares";

const pooled = ({ reads }: ClassificationHead, batch: Batch): Readonly<Record<string, HostData>> =>
  reads === "mean" ? { [SHARES]: meanShares(batch) } : {};

/** How much each row counts in the mean over the example that each learned place belongs to, [S, N]. */
export function meanShares(batch: Batch): Float32Array {
  const { segments, supervisedRows, supervisedCount } = batch;
  const shares = new Float32Array(supervisedRows.length * segments.length);
  for (let place = 0; place < supervisedCount; place++) {
    const own = rowsOfText(batch, Number(supervisedRows[place]));
    for (const other of own) shares[place * segments.length + other] = 1 / own.length;
  }
  return shares;
}

/** The rows of [B·T] that hold the text which this one belongs to. */
export function rowsOfText({ segments, tokens }: Batch, row: number): number[] {
  const start = row - (row % tokens);
  return Array.from({ length: tokens }, (_, t) => start + t).filter((other) => segments[other] === segments[row]);
}
