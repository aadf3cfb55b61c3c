import { apply, applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { extent, fixed, input } from "./types.js";

// [N, a + b + …] → [N, a], [N, b], …;  the gradient stands the pieces side by side again
const splitColumnsOp = defineOp<{ readonly widths: readonly number[] }>({
  name: "SplitColumns",
  infer: (types, { widths }) => {
    const x = input("SplitColumns", types, 0, 2);
    const total = widths.reduce((sum, width) => sum + width, 0);
    if (total !== extent(x.shape, 1)) throw new Error(`SplitColumns: widths ${widths.join(" + ")} are not ${extent(x.shape, 1)}`);
    return widths.map((width) => float32(extent(x.shape, 0), width));
  },
  gradient: ({ outputs, dys }) => {
    const pieces = dys.map((dy, index) => dy ?? zeroColumns(outputs[index]));
    return [apply(concatColumnsOp, pieces, null)];
  },
  lower: everywhere((e, { inputs: [x = ""], attributes: { widths } }) =>
    e.emit("Split", [x, e.ints(widths)], { outputs: widths.length, attributes: { axis: { int: 1 } } }),
  ),
});

const concatColumnsOp = defineOp<null>({
  name: "ConcatColumns",
  infer: (types) => {
    const widths = types.map((_, index) => fixed("ConcatColumns", extent(input("ConcatColumns", types, index, 2).shape, 1)));
    return [
      float32(
        extent(input("ConcatColumns", types, 0).shape, 0),
        widths.reduce((sum, width) => sum + width, 0),
      ),
    ];
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs }) => e.emit("Concat", inputs, { attributes: { axis: { int: 1 } } })[0]),
});

/** Where nothing reads a piece, its gradient is zero. */
function zeroColumns(piece: Tensor | undefined): Tensor {
  if (piece === undefined) throw new Error("SplitColumns: an output is missing");
  return apply(zerosOp, [piece], null);
}

const zerosOp = defineOp<null>({
  name: "ZerosLike",
  infer: (types) => [float32(...input("ZerosLike", types, 0).shape)],
  gradient: "noGradient",
  lower: everywhere((e, { outputs: [output] }) => e.emit("Expand", [e.float(0), e.shape(output?.shape ?? [])])[0]),
});

/** x [N, Σ widths] → one tensor [N, width] for each width. */
export function splitColumns(x: Tensor, widths: readonly number[]): readonly Tensor[] {
  return widths.length === 1 ? [x] : applyAll(splitColumnsOp, [x], { widths });
}
