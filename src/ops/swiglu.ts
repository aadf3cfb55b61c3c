import { apply, applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, everywhere } from "../graph/op.js";
import { binary } from "./engine-nodes.js";
import { count, inputPair } from "./types.js";

// y = silu(g) ⊙ u,  silu(g) = g·σ(g)                                        Shazeer 2020, eq. 6
const swigluOp = defineOp<null>({
  name: "SwiGlu",
  infer: (types) => [inputPair("SwiGlu", types, "gate and up")],
  gradient: ({ inputs: [gate, up], dys: [dy] }) => applyAll(swigluGradientOp, [gate, up, dy], null),
  lower: everywhere((e, { inputs: [gate = "", up = ""] }) => binary(e, "Mul", silu(e, gate), up)),
  cost: ([gate = []]) => ({ scratch: count(gate) }),
  isCheap: true,
});

// ū = ȳ ⊙ silu(g);  ḡ = ȳ ⊙ u ⊙ (σ + silu(g)·(1 − σ))
const swigluGradientOp = defineOp<null>({
  name: "SwiGluGradient",
  infer: (types) => {
    const pair = inputPair("SwiGluGradient", types, "gate and up");
    return [pair, pair];
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [gate = "", up = "", dy = ""] }) => {
    const sigmoid = e.emit("Sigmoid", [gate])[0];
    const activated = binary(e, "Mul", gate, sigmoid);
    const slope = binary(e, "Add", sigmoid, binary(e, "Mul", activated, binary(e, "Sub", e.float(1), sigmoid)));
    return [binary(e, "Mul", binary(e, "Mul", dy, up), slope), binary(e, "Mul", dy, activated)];
  }),
  cost: ([gate = []]) => ({ scratch: 3 * count(gate) }), // σ, g·σ and the slope
});

function silu(e: Emitter, x: string): string {
  // The CPU has x·σ(αx) as one node.
  if (e.target === "cpu") return e.emit("QuickGelu", [x], { domain: "com.microsoft", attributes: { alpha: { float: 1 } } })[0];
  return binary(e, "Mul", x, e.emit("Sigmoid", [x])[0]);
}

/** gate [N, F], up [N, F] → [N, F]. */
export const swiglu = (gate: Tensor, up: Tensor): Tensor => apply(swigluOp, [gate, up], null);
