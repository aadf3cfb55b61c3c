import { applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { extent, input } from "./types.js";

// [a + b + …, C] → [a, C], [b, C], …  of a matrix that is read beside what it is trained for: nothing is trained through the pieces
const splitRowsOp = defineOp<{ readonly heights: readonly number[] }>({
  name: "SplitRows",
  infer: (types, { heights }) => {
    const { shape } = input("SplitRows", types, 0, 2);
    const total = heights.reduce((sum, height) => sum + height, 0);
    if (total !== extent(shape, 0)) throw new Error(`SplitRows: heights ${heights.join(" + ")} are not ${extent(shape, 0)}`);
    return heights.map((height) => float32(height, extent(shape, 1)));
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [x = ""], attributes: { heights } }) =>
    e.emit("Split", [x, e.ints(heights)], { outputs: heights.length, attributes: { axis: { int: 0 } } }),
  ),
});

/** x [Σ heights, C] → one tensor [height, C] for each height. */
export function splitRows(x: Tensor, heights: readonly number[]): readonly Tensor[] {
  return heights.length === 1 ? [x] : applyAll(splitRowsOp, [x], { heights });
}
