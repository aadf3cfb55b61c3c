import { applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere } from "../graph/op.js";
import { answeringProducts } from "./answering.js";
import { frozenProduct } from "./frozen-linear.js";
import { inferLinear } from "./linear.js";
import { fixed } from "./types.js";

interface FrozenLayersAttributes {
  /** x is a single row. */
  readonly oneRow: boolean;
}

// yᵢ = x·Wᵢᵀ for layers that read one input: one product where their weights are stored side by side, as for answers, else
// one for each.
const frozenLayersOp = defineOp<FrozenLayersAttributes>({
  name: "FrozenLayers",
  infer: ([x, ...weights]) => weights.flatMap((weight) => inferLinear("FrozenLayers", [x, weight])),
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [x = "", ...weights], outputs, attributes: { oneRow } }) => {
    const form = e.target === "cpu" ? e.answering(weights) : undefined;
    if (form === undefined) return weights.map((weight) => frozenProduct(e, x, weight));
    const widths = outputs.map(({ shape }) => fixed("FrozenLayers", shape[1] ?? 0));
    return answeringProducts(e, x, form, { widths, oneRow });
  }),
});

/** x [N, in], frozen Wᵢ [outᵢ, in] → x·Wᵢᵀ [N, outᵢ], where no gradient is wanted. */
export const frozenLayers = (
  x: Tensor,
  weights: readonly Tensor[],
  { oneRow = false }: Partial<FrozenLayersAttributes> = {},
): readonly Tensor[] => applyAll(frozenLayersOp, [x, ...weights], { oneRow });
