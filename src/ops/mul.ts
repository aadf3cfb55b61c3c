import { broadcast } from "../graph/dimension.js";
import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { binary } from "./engine-nodes.js";
import { input } from "./types.js";

// y = a ⊙ b, broadcast;  ā = ȳ ⊙ b,  b̄ = ȳ ⊙ a
const mulOp = defineOp<null>({
  name: "Mul",
  infer: (types) => [float32(...broadcast(input("Mul", types, 0).shape, input("Mul", types, 1).shape))],
  gradient: ({ inputs: [a, b], dys: [dy], wants }) => {
    if (a === undefined || b === undefined || dy === undefined) return [];
    return [wants[0] ? mul(dy, b) : undefined, wants[1] ? mul(dy, a) : undefined];
  },
  lower: everywhere((e, { inputs: [a = "", b = ""] }) => binary(e, "Mul", a, b)),
});

export const mul = (a: Tensor, b: Tensor): Tensor => apply(mulOp, [a, b], null);
