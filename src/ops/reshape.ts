import { type Shape, sameShape } from "../graph/dimension.js";
import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere } from "../graph/op.js";
import { reshapeLike } from "./engine-nodes.js";
import { input } from "./types.js";

// The same values in row-major order under another shape;  x̄ = ȳ under x's shape
const reshapeOp = defineOp<{ readonly to: Shape }>({
  name: "Reshape",
  infer: (types, { to }) => {
    input("Reshape", types, 0);
    return [{ dtype: "float32", shape: to }];
  },
  gradient: ({ inputs: [x], dys: [dy] }) => (x === undefined || dy === undefined ? [] : [reshape(dy, x.shape)]),
  lower: everywhere((e, { inputs: [x = ""], attributes: { to } }) => reshapeLike(e, x, to)),
  isView: true,
});

export function reshape(x: Tensor, to: Shape): Tensor {
  return sameShape(x.shape, to) ? x : apply(reshapeOp, [x], { to });
}
