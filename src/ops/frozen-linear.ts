import { apply, producer, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, everywhere, float32 } from "../graph/op.js";
import { binary, gemm } from "./engine-nodes.js";
import { int8Backward, int8Forward } from "./int8.js";
import { inferLinear, linearCost } from "./linear.js";
import { count, expectEqual, extent, input } from "./types.js";

// y = x·Wᵀ with a W that is never trained, in the precision in which W is stored. A gradient for W is refused, not silently
// dropped.
const frozenLinearOp = defineOp<null>({
  name: "FrozenLinear",
  infer: (types) => inferLinear("FrozenLinear", types),
  gradient: ({ inputs: [, weight], dys: [dy], wants }) => {
    if (wants[1]) throw new Error("FrozenLinear: its weight is frozen and has no gradient; use linear for a trained one");
    return [apply(frozenLinearGradientOp, [dy, weight, undefined], null)]; // x̄ = ȳ·W
  },
  lower: everywhere((e, { inputs: [x = "", weight = ""] }) => frozenProduct(e, x, weight)),
  cost: linearCost,
});

/** x·Wᵀ in the precision in which W is stored. */
export function frozenProduct(e: Emitter, x: string, weight: string): string {
  const int8 = e.target === "cpu" ? e.int8(weight) : undefined;
  return int8 === undefined ? gemm(e, x, weight, { transposeB: true }) : int8Forward(e, x, int8);
}

// x̄ = c + ȳ·W
const frozenLinearGradientOp = defineOp<null>({
  name: "FrozenLinearGradient",
  infer: (types) => {
    const dy = input("FrozenLinearGradient", types, 0, 2);
    const weight = input("FrozenLinearGradient", types, 1, 2);
    expectEqual("FrozenLinearGradient", "columns of ȳ and rows of W", extent(dy.shape, 1), extent(weight.shape, 0));
    return [float32(extent(dy.shape, 0), extent(weight.shape, 1))];
  },
  gradient: "noGradient",
  lower: {
    cpu: (e, { inputs: [dy = "", weight = "", addend = ""] }) => {
      const int8 = e.int8(weight);
      if (int8 === undefined) return gemm(e, dy, weight, { addend });
      const gradient = int8Backward(e, dy, int8);
      return addend === "" ? gradient : binary(e, "Add", gradient, addend);
    },
    webgpu: (e, { inputs: [dy = "", weight = "", addend = ""] }) => gemm(e, dy, weight, { addend }),
  },
  cost: ([dy = [], weight = []]) => ({ flops: 2 * count(dy) * (weight[1] ?? 0) }),
});

/** x [N, in], a frozen W [out, in] → x·Wᵀ [N, out]. */
export const frozenLinear = (x: Tensor, weight: Tensor): Tensor => apply(frozenLinearOp, [x, weight], null);

/** `sum + term`, written into the term's own product where it is a frozen layer's gradient: on WebGPU the Gemm adds. */
export function addToFrozenGradient(sum: Tensor, term: Tensor): Tensor | undefined {
  const node = producer(term);
  if (node?.op !== frozenLinearGradientOp || node.inputs[2] !== undefined) return undefined;
  return apply(frozenLinearGradientOp, [node.inputs[0], node.inputs[1], sum], null);
}
