import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { gemm } from "./engine-nodes.js";
import { linear } from "./linear.js";
import { matrixProduct } from "./matrix-product.js";
import { count, expectEqual, extent, input } from "./types.js";

// y = P·x;  x̄ = Pᵀ·ȳ,  P̄ = ȳ·xᵀ
const poolRowsOp = defineOp<null>({
  name: "PoolRows",
  infer: (types) => {
    const x = input("PoolRows", types, 0, 2);
    const shares = input("PoolRows", types, 1, 2);
    expectEqual("PoolRows", "rows of x and columns of the shares", extent(x.shape, 0), extent(shares.shape, 1));
    return [float32(extent(shares.shape, 0), extent(x.shape, 1))];
  },
  gradient: ({ inputs: [x, shares], dys: [dy], wants }) => {
    if (x === undefined || shares === undefined || dy === undefined) return [];
    return [wants[0] ? matrixProduct(shares, dy, { transposeA: true }) : undefined, wants[1] ? linear(dy, x) : undefined];
  },
  lower: everywhere((e, { inputs: [x = "", shares = ""] }) => gemm(e, shares, x)),
  cost: ([x = [], shares = []]) => ({ flops: 2 * count(x) * (shares[0] ?? 0) }),
});

/**
 * Rows of x for each of E examples as one. With 1/n at the n tokens of an example and zero elsewhere it is the mean over its tokens
 * (Reimers & Gurevych 2019, "Sentence-BERT", section 3).
 *
 * @param x [N, C]
 * @param shares how much of each row an example takes [E, N]
 * @returns [E, C]
 */
export const poolRows = (x: Tensor, shares: Tensor): Tensor => apply(poolRowsOp, [x, shares], null);
