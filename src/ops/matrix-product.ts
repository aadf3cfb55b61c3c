import { apply, producer, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32, type GradientArguments } from "../graph/op.js";
import { gemm } from "./engine-nodes.js";
import { count, expectEqual, extent, input } from "./types.js";

interface ProductAttributes {
  readonly scale: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

// y = c + s·op(a)·op(b): op is the identity or the transpose
const matrixProductOp = defineOp<ProductAttributes>({
  name: "MatrixProduct",
  infer: (types, { transposeA, transposeB }) => {
    const a = input("MatrixProduct", types, 0, 2);
    const b = input("MatrixProduct", types, 1, 2);
    expectEqual("MatrixProduct", "inner extents", extent(a.shape, transposeA ? 0 : 1), extent(b.shape, transposeB ? 1 : 0));
    return [float32(extent(a.shape, transposeA ? 1 : 0), extent(b.shape, transposeB ? 0 : 1))];
  },
  gradient: productGradient,
  lower: everywhere((e, { inputs: [a = "", b = "", addend = ""], attributes: { scale, transposeA, transposeB } }) =>
    gemm(e, a, b, { transposeA, transposeB, scale, addend }),
  ),
  cost: ([a = [], b = []], { transposeB }) => ({ flops: 2 * count(a) * (b[transposeB ? 0 : 1] ?? 0) }),
});

/** ā = s·ȳ·op(b)ᵀ and b̄ = s·op(a)ᵀ·ȳ, transposed where the operand is. */
function productGradient({ inputs: [a, b], dys: [dy], wants, attributes }: GradientArguments<ProductAttributes>) {
  if (a === undefined || b === undefined || dy === undefined) return [];
  const { scale, transposeA, transposeB } = attributes;
  const ofA = () =>
    transposeA
      ? matrixProduct(b, dy, { scale, transposeA: transposeB, transposeB: true })
      : matrixProduct(dy, b, { scale, transposeB: !transposeB });
  const ofB = () =>
    transposeB
      ? matrixProduct(dy, a, { scale, transposeA: true, transposeB: transposeA })
      : matrixProduct(a, dy, { scale, transposeA: !transposeA });
  return [wants[0] ? ofA() : undefined, wants[1] ? ofB() : undefined, wants[2] ? dy : undefined];
}

/** a [M, K], b [K, N], either of them transposed where that is said → scale·op(a)·op(b) [M, N]. */
export function matrixProduct(a: Tensor, b: Tensor, { scale = 1, transposeA = false, transposeB = false } = {}): Tensor {
  return apply(matrixProductOp, [a, b, undefined], { scale, transposeA, transposeB });
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
