import { apply, applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, everywhere, float32 } from "../graph/op.js";
import { add } from "./add.js";
import { binary, reduceSum } from "./engine-nodes.js";
import { mul } from "./mul.js";
import { count, expectEqual, extent, fixed, input } from "./types.js";

// y = x̂ · g + b,  x̂ = (x − μ) · s,  s = (mean((x − μ)²) + ε)^-½                          Ba et al. 2016, eq. 4
const layerNormOp = defineOp<{ readonly epsilon: number }>({
  name: "LayerNorm",
  infer: (types) => {
    const x = input("LayerNorm", types, 0, 2);
    const columns = extent(x.shape, 1);
    const gain = input("LayerNorm", types, 1, 1);
    expectEqual("LayerNorm", "columns of x and of the gain", columns, extent(gain.shape, 0));
    if (types[2] !== undefined) {
      const bias = input("LayerNorm", types, 2, 1);
      expectEqual("LayerNorm", "columns of x and of the bias", columns, extent(bias.shape, 0));
    }
    const column = float32(extent(x.shape, 0), 1);
    return [float32(...x.shape), column, column]; // y [N, C], μ [N, 1], s [N, 1]
  },
  gradient: ({ inputs: [x, gain], outputs: [, mean, inverse], dys: [dy], wants }) => {
    if (x === undefined || gain === undefined || mean === undefined || inverse === undefined || dy === undefined) return [];
    const normalised = () => mul(add(x, mul(mean, x.graph.scalar(-1))), inverse);
    return [
      wants[0] ? apply(layerNormGradientOp, [x, gain, mean, inverse, dy], null) : undefined,
      wants[1] ? mul(normalised(), dy) : undefined, // ḡ = Σ_N x̂ ⊙ ȳ, summed by the sweep, as is
      wants[2] ? dy : undefined, // b̄ = Σ_N ȳ
    ];
  },
  lower: everywhere((e: Emitter, { inputs: [x = "", gain = "", bias = ""], attributes: { epsilon } }) => {
    const attributes = { axis: { int: -1 }, epsilon: { float: epsilon }, stash_type: { int: 1 } };
    return e.emit("LayerNormalization", bias === "" ? [x, gain] : [x, gain, bias], { outputs: 3, attributes });
  }),
  isCheap: true,
});

// x̄ = s·(h − mean_C(h) − x̂ · mean_C(h ⊙ x̂)),  h = g ⊙ ȳ
const layerNormGradientOp = defineOp<null>({
  name: "LayerNormGradient",
  infer: (types) => [float32(...input("LayerNormGradient", types, 0, 2).shape)],
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [x = "", gain = "", mean = "", inverse = "", dy = ""], outputs: [output] }) => {
    const columns = fixed("LayerNormGradient", extent(output?.shape ?? [], 1));
    const centred = binary(e, "Sub", x, mean); // x̂ / s [N, C]
    const scaled = binary(e, "Mul", dy, gain); // h [N, C]
    const level = binary(e, "Mul", reduceSum(e, scaled, [1], true), e.float(1 / columns)); // mean(h) [N, 1]
    const dot = reduceSum(e, binary(e, "Mul", scaled, centred), [1], true); // [N, 1]
    const cube = binary(e, "Mul", binary(e, "Mul", inverse, inverse), binary(e, "Mul", inverse, e.float(1 / columns)));
    const levelled = binary(e, "Mul", binary(e, "Sub", scaled, level), inverse);
    return binary(e, "Sub", levelled, binary(e, "Mul", centred, binary(e, "Mul", dot, cube)));
  }),
  cost: ([x = []]) => ({ scratch: 3 * count(x) }), // x − μ, h and their product or a part of the result
});

/** x [N, C], gain [C], bias [C] (none is zero) → [N, C]. */
export function layerNorm(x: Tensor, gain: Tensor, bias: Tensor | undefined, epsilon: number): Tensor {
  const [y] = applyAll(layerNormOp, [x, gain, bias], { epsilon });
  if (y === undefined) throw new Error("LayerNorm has no output");
  return y;
}
