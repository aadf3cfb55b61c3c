import { apply, applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { binary, reduceSum } from "./engine-nodes.js";
import { extent, input } from "./types.js";

/** Shorter rows are divided by this, as PyTorch's `normalize` does: a row of zeros stays one. */
const SHORTEST = 1e-12;

// y = x / n,  n = max(‖x‖, ε)
const l2NormaliseOp = defineOp<null>({
  name: "L2Normalise",
  infer: (types) => {
    const x = input("L2Normalise", types, 0, 2);
    return [float32(...x.shape), float32(extent(x.shape, 0), 1)]; // y [N, C], n [N, 1]
  },
  gradient: ({ outputs: [y, norm], dys: [dy] }) => [apply(l2NormaliseGradientOp, [y, norm, dy], null)],
  lower: everywhere((e, { inputs: [x = ""] }) => {
    const length = e.emit("Sqrt", [reduceSum(e, binary(e, "Mul", x, x), [1], true)])[0];
    const norm = e.emit("Max", [length, e.float(SHORTEST)])[0];
    return [binary(e, "Div", x, norm), norm];
  }),
});

// x̄ = (ȳ − y·(y·ȳ)) / n
const l2NormaliseGradientOp = defineOp<null>({
  name: "L2NormaliseGradient",
  infer: (types) => [float32(...input("L2NormaliseGradient", types, 0, 2).shape)],
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [y = "", norm = "", dy = ""] }) => {
    const along = reduceSum(e, binary(e, "Mul", y, dy), [1], true); // [N, 1]
    return binary(e, "Div", binary(e, "Sub", dy, binary(e, "Mul", y, along)), norm);
  }),
});

/** x [N, C] → its rows in length one [N, C]. */
export function l2Normalise(x: Tensor): Tensor {
  const [y] = applyAll(l2NormaliseOp, [x], null);
  if (y === undefined) throw new Error("L2Normalise has no output");
  return y;
}
