import type { Objective } from "./objective.js";

/** To learn nothing: a model up to its hidden states, for programs that look at these. */
export const hiddenStates: Objective = {
  parameters: [],
  write: ({ hidden }) => ({ losses: hidden, supervisedMultiple: 1 }),
  feeds: () => ({}),
};
