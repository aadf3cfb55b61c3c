import { apply, producer, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { gemm } from "./engine-nodes.js";
import { count, expectEqual, extent, input } from "./types.js";

interface ProductAttributes {
  readonly scale: number;
  readonly transposeA: boolean;
}

// y = c + s·op(a)·b, the product of the backward pass: op is the identity or the transpose
const matrixProductOp = defineOp<ProductAttributes>({
  name: "MatrixProduct",
  infer: (types, { transposeA }) => {
    const a = input("MatrixProduct", types, 0, 2);
    const b = input("MatrixProduct", types, 1, 2);
    expectEqual("MatrixProduct", "inner extents", extent(a.shape, transposeA ? 0 : 1), extent(b.shape, 0));
    return [float32(extent(a.shape, transposeA ? 1 : 0), extent(b.shape, 1))];
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [a = "", b = "", addend = ""], attributes: { scale, transposeA } }) =>
    gemm(e, a, b, { transposeA, scale, addend }),
  ),
  cost: ([a = [], b = []]) => ({ flops: 2 * count(a) * (b[1] ?? 0) }),
});

/** a [M, K] (or [K, M], transposed), b [K, N] → scale·op(a)·b [M, N]. */
export function matrixProduct(a: Tensor, b: Tensor, { scale = 1, transposeA = false } = {}): Tensor {
  return apply(matrixProductOp, [a, b, undefined], { scale, transposeA });
}

/**
 * `sum + term`, written into the term's own product where it is one: on WebGPU the Gemm adds. The bare product
 * loses its only reader and is never lowered.
 */
export function addToProduct(sum: Tensor, term: Tensor): Tensor | undefined {
  const node = producer(term);
  if (node?.op !== matrixProductOp || node.inputs[2] !== undefined) return undefined;
  return apply(matrixProductOp, [node.inputs[0], node.inputs[1], sum], node.attributes as ProductAttributes);
}
