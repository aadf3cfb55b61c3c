import { applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { binary, gemm, reduceSum, transpose } from "./engine-nodes.js";
import { mul } from "./mul.js";
import { expectEqual, extent, input } from "./types.js";

interface GainAttributes {
  /** Factor on B·A. */
  readonly scale: number;
}

// gₒ = mₒ / ‖wₒ + s·bₒA‖,  ‖wₒ + s·bₒA‖² = ‖wₒ‖² + bₒ·(2s·A·wₒ + s²·AAᵀ·bₒ)               Liu et al. 2024, "DoRA", eq. 5
// The sum W + s·BA is never formed: what is left of it are products of rank r. The norm counts as a constant (their section 4.3): m̄ = ȳ / ‖…‖.
const magnitudeGainOp = defineOp<GainAttributes>({
  name: "MagnitudeGain",
  infer: (types) => {
    const magnitude = input("MagnitudeGain", types, 0, 1);
    const [a, b, through] = [1, 2, 3].map((index) => input("MagnitudeGain", types, index, 2).shape);
    const outputs = extent(magnitude.shape, 0);
    expectEqual("MagnitudeGain", "ranks of A and B", extent(a ?? [], 0), extent(b ?? [], 1));
    expectEqual("MagnitudeGain", "rows of B and magnitudes", extent(b ?? [], 0), outputs);
    expectEqual("MagnitudeGain", "columns of A·Wᵀ and magnitudes", extent(through ?? [], 1), outputs);
    expectEqual("MagnitudeGain", "squared norms and magnitudes", extent(input("MagnitudeGain", types, 4, 1).shape, 0), outputs);
    return [float32(outputs), float32(outputs)]; // the gain, and 1/‖…‖
  },
  gradient: ({ outputs: [, inverse], dys: [dy], wants }) =>
    wants[0] && dy !== undefined && inverse !== undefined ? [mul(dy, inverse)] : [],
  lower: everywhere((e, { inputs: [magnitude = "", a = "", b = "", through = "", squares = ""], attributes: { scale } }) => {
    const inner = gemm(e, a, a, { transposeB: true }); // A·Aᵀ [R, R]
    const crossed = binary(e, "Mul", transpose(e, through, [1, 0]), e.float(2 * scale)); // 2s·W·Aᵀ [out, R]
    const factors = gemm(e, b, inner, { scale: scale * scale, addend: crossed }); // [out, R]
    const change = reduceSum(e, binary(e, "Mul", b, factors), [1], false); // [out]
    const norm = e.emit("Sqrt", [binary(e, "Add", squares, change)])[0];
    const inverse = e.emit("Reciprocal", [norm])[0];
    return [binary(e, "Mul", magnitude, inverse), inverse];
  }),
});

/**
 * What DoRA multiplies each output of a layer by, [out].
 *
 * @param magnitude m [out]
 * @param a A [R, in] and `b` B [out, R] of the change s·B·A
 * @param through A·Wᵀ [R, out]
 * @param squares the squared norms of W's rows [out]
 */
export function magnitudeGain(
  magnitude: Tensor,
  a: Tensor,
  b: Tensor,
  through: Tensor,
  squares: Tensor,
  attributes: GainAttributes,
): Tensor {
  const [gain] = applyAll(magnitudeGainOp, [magnitude, a, b, through, squares], attributes);
  if (gain === undefined) throw new Error("MagnitudeGain has two outputs");
  return gain;
}
