import { ROWS } from "../../models/parts/rows.js";
import { poolRows } from "../../ops/pool-rows.js";
import { meanShares } from "./labels.js";
import { type Objective, SUPERVISED } from "./objective.js";

const SHARES = "shares";

/** To learn nothing: the mean hidden state over each example that has a learned place, [S, C]. */
export const meanStates: Objective = {
  parameters: [],
  write({ graph, hidden }) {
    const states = poolRows(hidden, graph.input(SHARES, { dtype: "float32", shape: [SUPERVISED, ROWS] }));
    return { losses: states, outputs: states, supervisedMultiple: 1 };
  },
  feeds: (batch) => ({ [SHARES]: meanShares(batch) }),
};
