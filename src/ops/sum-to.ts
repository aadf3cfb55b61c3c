import type { Shape } from "../graph/dimension.js";
import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere } from "../graph/op.js";
import { reduceSum } from "./engine-nodes.js";
import { input } from "./types.js";

// The transpose of broadcasting: sums the axes along which a tensor of shape `to` was repeated.
const sumToOp = defineOp<{ readonly to: Shape }>({
  name: "SumTo",
  infer: (types, { to }) => {
    input("SumTo", types, 0);
    return [{ dtype: "float32", shape: to }];
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [x = ""], types: [type], attributes: { to } }) => {
    const from = type?.shape ?? [];
    const added = from.length - to.length;
    const leading = Array.from({ length: added }, (_, axis) => axis);
    const stretched = to.flatMap((dimension, axis) => (dimension === 1 && from[axis + added] !== 1 ? [axis] : []));
    const folded = leading.length > 0 ? reduceSum(e, x, leading, false) : x;
    return stretched.length > 0 ? reduceSum(e, folded, stretched, true) : folded;
  }),
});

/** [.., n] → the shape of `like`, which broadcasts to x's. */
export const sumTo = (x: Tensor, like: Tensor): Tensor => apply(sumToOp, [x], { to: like.shape });
