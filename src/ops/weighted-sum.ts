import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { binary, reduceSum } from "./engine-nodes.js";
import { mul } from "./mul.js";
import { expectEqual, extent, input } from "./types.js";

// y = Σᵢ wᵢ·vᵢ;  v̄ = ȳ·w,  w̄ = ȳ·v
const weightedSumOp = defineOp<null>({
  name: "WeightedSum",
  infer: (types) => {
    const values = input("WeightedSum", types, 0, 1);
    const weights = input("WeightedSum", types, 1, 1);
    expectEqual("WeightedSum", "counts of values and weights", extent(values.shape, 0), extent(weights.shape, 0));
    return [float32()];
  },
  gradient: ({ inputs: [values, weights], dys: [dy], wants }) => {
    if (values === undefined || weights === undefined || dy === undefined) return [];
    return [wants[0] ? mul(weights, dy) : undefined, wants[1] ? mul(values, dy) : undefined];
  },
  lower: everywhere((e, { inputs: [values = "", weights = ""] }) => reduceSum(e, binary(e, "Mul", values, weights), [0], false)),
});

/** values [S], weights [S] → the scalar Σ w·v. */
export const weightedSum = (values: Tensor, weights: Tensor): Tensor => apply(weightedSumOp, [values, weights], null);
