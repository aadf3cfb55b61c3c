import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32, type GradientArguments, type Lowering, type TensorType } from "../graph/op.js";
import { gemm } from "./engine-nodes.js";
import { matrixProduct } from "./matrix-product.js";
import { count, expectEqual, extent, input } from "./types.js";

interface LinearAttributes {
  /** Factor on the product, not on the addend. */
  readonly scale: number;
}

/** y = c + s·x·Wᵀ. */
const lowerLinear: Lowering<LinearAttributes> = (e, { inputs: [x = "", weight = "", addend = ""], attributes: { scale } }) =>
  gemm(e, x, weight, { transposeB: true, scale, addend });

export function inferLinear(name: string, types: readonly (TensorType | undefined)[]): readonly TensorType[] {
  const x = input(name, types, 0, 2);
  const weight = input(name, types, 1, 2);
  expectEqual(name, "columns of x and of W", extent(x.shape, 1), extent(weight.shape, 1));
  return [float32(extent(x.shape, 0), extent(weight.shape, 0))]; // [N, out]
}

/** 2·N·in·out: a multiplication and an addition for every weight and row. */
export const linearCost = ([x = [], weight = []]: readonly (readonly number[])[]) => ({ flops: 2 * count(x) * (weight[0] ?? 0) });

function linearGradient({ inputs: [x, weight], dys: [dy], wants, attributes: { scale } }: GradientArguments<LinearAttributes>) {
  if (x === undefined || weight === undefined || dy === undefined) return [];
  return [
    wants[0] ? matrixProduct(dy, weight, { scale }) : undefined, // x̄ = s·ȳ·W            [N, in]
    wants[1] ? matrixProduct(dy, x, { scale, transposeA: true }) : undefined, // W̄ = s·ȳᵀ·x  [out, in]
    wants[2] ? dy : undefined, // c̄ = ȳ
  ];
}

/** y = c + s·x·Wᵀ with a W that may be trained. */
const linearOp = defineOp<LinearAttributes>({
  name: "Linear",
  infer: (types) => inferLinear("Linear", types),
  gradient: linearGradient,
  lower: everywhere(lowerLinear),
  cost: linearCost,
});

interface LinearOptions {
  readonly scale?: number;
  /** [N, out], or [out] for a bias. */
  readonly addend?: Tensor | undefined;
}

/** x [N, in], W [out, in] → addend + scale·x·Wᵀ [N, out]. */
export function linear(x: Tensor, weight: Tensor, { scale = 1, addend }: LinearOptions = {}): Tensor {
  return apply(linearOp, [x, weight, addend], { scale });
}
