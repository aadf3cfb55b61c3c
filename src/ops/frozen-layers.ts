import { applyAll, type Tensor } from "../graph/graph.js";
import { type AnsweringWeights, defineOp, type Emitter, everywhere } from "../graph/op.js";
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
    const widths = outputs.map(({ shape }) => fixed("FrozenLayers", shape[1] ?? 0));
    const joined = answeringForm(e, weights);
    if (joined !== undefined) return answeringProducts(e, x, joined, { widths, oneRow });
    return weights.flatMap((weight, index) => {
      const form = answeringForm(e, [weight]);
      return form === undefined
        ? frozenProduct(e, x, weight)
        : answeringProducts(e, x, form, { widths: widths.slice(index, index + 1), oneRow });
    });
  }),
});

/** The WebGPU provider multiplies by blocks, and has no product of whole numbers. */
function answeringForm(e: Emitter, weights: readonly string[]): AnsweringWeights | undefined {
  const form = e.answering(weights);
  return e.target === "cpu" || form?.kind === "blocks" ? form : undefined;
}

/** x [N, in], frozen Wᵢ [outᵢ, in] → x·Wᵢᵀ [N, outᵢ], where no gradient is wanted. */
export const frozenLayers = (
  x: Tensor,
  weights: readonly Tensor[],
  { oneRow = false }: Partial<FrozenLayersAttributes> = {},
): readonly Tensor[] => applyAll(frozenLayersOp, [x, ...weights], { oneRow });
