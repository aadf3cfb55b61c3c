import type { LanguageModelGraph } from "../../models/architecture.js";
import { gatherRows } from "../../ops/gather-rows.js";
import { DITHER_ROWS, lossChunks, vocabularyLoss } from "../../ops/vocabulary-loss.js";
import { type Objective, SUPERVISED } from "./objective.js";

/** To predict the next token: the negative log-likelihood of each learned token, in nats. Only their rows reach the vocabulary. */
export function nextToken(model: LanguageModelGraph): Objective {
  return {
    parameters: [],
    write({ graph, hidden, rows, head, maxSupervised, differentiable }) {
      const targets = graph.input("targets", { dtype: "int64", shape: [SUPERVISED] });
      const chunks = lossChunks(maxSupervised, model.dimensions.vocabulary);
      const states = gatherRows(hidden, rows); // [S, C]
      const { weight, beside } = head(states);
      const losses = vocabularyLoss(states, weight, targets, { chunks, differentiable, softCap: model.logitSoftCap, beside });
      return { losses, supervisedMultiple: chunks * DITHER_ROWS };
    },
    feeds: ({ targets }) => ({ targets }),
  };
}
