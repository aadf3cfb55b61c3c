import type { Tensor } from "../../graph/graph.js";
import type { ClassificationHead } from "../../models/architecture.js";
import { crossEntropy } from "../../ops/cross-entropy.js";
import { gatherRows } from "../../ops/gather-rows.js";
import { reshape } from "../../ops/reshape.js";
import { squaredError } from "../../ops/squared-error.js";
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
    feeds: ({ targets }) => ({ targets }),
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
    feeds: ({ values }) => {
      if (values === undefined) throw new Error("a regression needs examples with values");
      return { values };
    },
  };
}

/** What a head says at each learned place [S, L]. */
const scores = (head: ClassificationHead, context: ObjectiveContext): Tensor =>
  head.logits(gatherRows(context.hidden, context.rows), context);
