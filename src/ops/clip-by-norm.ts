import { applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { binary, reduceSum } from "./engine-nodes.js";
import { input } from "./types.js";

/** Keeps the division by a vanishing norm finite, as PyTorch's clip_grad_norm_ does. */
const NORM_EPSILON = 1e-6;

// n = s·‖g‖,  y = s·g · min(1, limit / (n + ε))                                 Pascanu et al. 2013, algorithm 1
const clipByNormOp = defineOp<null>({
  name: "ClipByNorm",
  infer: (types) => {
    const gradient = input("ClipByNorm", types, 0, 1);
    for (const index of [1, 2]) input("ClipByNorm", types, index, 1);
    return [float32(...gradient.shape), float32(1)];
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [gradient = "", scale = "", limit = ""] }) => {
    const scaled = binary(e, "Mul", gradient, scale); // [P]
    const norm = e.emit("Sqrt", [reduceSum(e, binary(e, "Mul", scaled, scaled), [0], true)])[0]; // [1]
    const ratio = binary(e, "Div", limit, binary(e, "Add", norm, e.float(NORM_EPSILON)));
    const factor = e.emit("Where", [binary(e, "Less", ratio, e.float(1)), ratio, e.float(1)])[0];
    return [binary(e, "Mul", scaled, factor), norm];
  }),
});

/** gradient [P], scale [1], limit [1] → the scaled gradient, its norm at most `limit`, and its norm before, [1]. */
export function clipByNorm(gradient: Tensor, scale: Tensor, limit: Tensor): { clipped: Tensor; norm: Tensor } {
  const [clipped, norm] = applyAll(clipByNormOp, [gradient, scale, limit], null);
  if (clipped === undefined || norm === undefined) throw new Error("ClipByNorm has two outputs");
  return { clipped, norm };
}
