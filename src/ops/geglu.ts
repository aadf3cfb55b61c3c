import { apply, applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere } from "../graph/op.js";
import { binary } from "./engine-nodes.js";
import { GELU_SCRATCH, type GeluKind, geluNodes, geluParts } from "./gelu.js";
import { count, inputPair } from "./types.js";

interface GegluAttributes {
  readonly kind: GeluKind;
}

// y = gelu(g) ⊙ u                                                           Shazeer 2020, eq. 6
const gegluOp = defineOp<GegluAttributes>({
  name: "GeGlu",
  infer: (types) => [inputPair("GeGlu", types, "gate and up")],
  gradient: ({ inputs: [gate, up], dys: [dy], attributes }) => applyAll(gegluGradientOp, [gate, up, dy], attributes),
  lower: everywhere((e, { inputs: [gate = "", up = ""], attributes: { kind } }) => binary(e, "Mul", geluNodes(e, gate, kind), up)),
  cost: ([gate = []]) => ({ scratch: count(gate) }),
  isCheap: true,
});

// ū = ȳ ⊙ gelu(g);  ḡ = ȳ ⊙ u ⊙ gelu′(g)
const gegluGradientOp = defineOp<GegluAttributes>({
  name: "GeGluGradient",
  infer: (types) => {
    const pair = inputPair("GeGluGradient", types, "gate and up");
    return [pair, pair];
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [gate = "", up = "", dy = ""], attributes: { kind } }) => {
    const { activated, slope } = geluParts(e, gate, kind);
    return [binary(e, "Mul", binary(e, "Mul", dy, up), slope), binary(e, "Mul", dy, activated)];
  }),
  cost: ([gate = []]) => ({ scratch: GELU_SCRATCH * count(gate) }),
});

/** gate [N, F], up [N, F] → [N, F]. */
export const geglu = (gate: Tensor, up: Tensor, kind: GeluKind): Tensor => apply(gegluOp, [gate, up], { kind });
