import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { binary } from "./engine-nodes.js";
import { extent, input } from "./types.js";

// yᵢⱼ = 1 where xᵢ = j, else 0. The numbers of x are whole, and floats: WebGPU compares no int64.
const oneHotOp = defineOp<{ readonly classes: number }>({
  name: "OneHot",
  infer: (types, { classes }) => [float32(extent(input("OneHot", types, 0, 2).shape, 0), classes)], // [N, classes]
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [x = ""], attributes: { classes } }) => {
    const numbers = e.float(
      Float32Array.from({ length: classes }, (_, index) => index),
      [1, classes],
    );
    return e.emit("Cast", [binary(e, "Equal", x, numbers)], { attributes: { to: { int: 1 } } })[0];
  }),
  isCheap: true,
});

/** x [N, 1] of whole numbers → [N, classes], a row of zeros where the number is none of 0 … classes − 1. */
export const oneHot = (x: Tensor, classes: number): Tensor => apply(oneHotOp, [x], { classes });
