import type { LanguageModelGraph } from "../../models/architecture.js";
import { throughWeight } from "../../models/parts/layer-bias.js";
import { withBeside } from "../../models/parts/vocabulary-head.js";
import { gatherRows } from "../../ops/gather-rows.js";
import { softCap } from "../../ops/soft-cap.js";
import { nextToken } from "./next-token.js";
import type { Objective } from "./objective.js";

/** The next token, with the logits [S, V] at each place beside its loss: for programs that compare models on a few tokens. */
export function nextLogits(model: LanguageModelGraph): Objective {
  const { write, ...objective } = nextToken(model);
  return {
    ...objective,
    write(context) {
      const states = gatherRows(context.hidden, context.rows);
      const head = context.head(states);
      const logits = withBeside(throughWeight(states, head.weight), head);
      return { ...write(context), outputs: model.logitSoftCap === undefined ? logits : softCap(logits, model.logitSoftCap) };
    },
  };
}
