import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32, type Op } from "../graph/op.js";
import { binary, reshapeLike, slice } from "./engine-nodes.js";
import { input } from "./types.js";

interface DropoutAttributes {
  readonly rate: number;
}

// y = x ⊙ m/(1 − p), m = [u ≥ p], u a window of a table of uniforms (Srivastava et al. 2014). The mask is made again in
// the backward pass, which is the same operation on ȳ. The engine's own random operations are missing on WebGPU and
// cannot be resumed.
const dropoutOp: Op<DropoutAttributes> = defineOp({
  name: "Dropout",
  infer: (types) => {
    const x = input("Dropout", types, 0, 2);
    input("Dropout", types, 1, 1);
    input("Dropout", types, 2, 1, "int64");
    input("Dropout", types, 3, 1, "int64");
    return [float32(...x.shape)];
  },
  gradient: ({ inputs: [, table, start, end], dys: [dy], attributes }) => [apply(dropoutOp, [dy, table, start, end], attributes)],
  lower: everywhere((e, { inputs: [x = "", table = "", start = "", end = ""], outputs: [output], attributes: { rate } }) => {
    const window = reshapeLike(e, slice(e, table, start, end, 0), output?.shape ?? []);
    const mask = e.emit("Where", [binary(e, "Less", window, e.float(rate)), e.float(0), e.float(1 / (1 - rate))])[0];
    return binary(e, "Mul", x, mask);
  }),
  isCheap: true,
});

/** x [N, C]; table [U] of uniforms in [0, 1), of which [start, end) are x's, N·C of them → [N, C]. */
export const dropout = (x: Tensor, table: Tensor, start: Tensor, end: Tensor, rate: number): Tensor =>
  apply(dropoutOp, [x, table, start, end], { rate });
