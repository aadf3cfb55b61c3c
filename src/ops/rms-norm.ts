import { apply, applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, everywhere, float32 } from "../graph/op.js";
import { binary, reduceSum } from "./engine-nodes.js";
import { mul } from "./mul.js";
import { expectEqual, extent, fixed, input } from "./types.js";

// y = x · s · g,  s = (mean(x²) + ε)^-½                                    Zhang & Sennrich 2019, eq. 4
const rmsNormOp = defineOp<{ readonly epsilon: number }>({
  name: "RmsNorm",
  infer: (types) => {
    const x = input("RmsNorm", types, 0, 2);
    const gain = input("RmsNorm", types, 1, 1);
    expectEqual("RmsNorm", "columns of x and of the gain", extent(x.shape, 1), extent(gain.shape, 0));
    return [float32(...x.shape), float32(extent(x.shape, 0), 1)]; // y [N, C], s [N, 1]
  },
  gradient: ({ inputs: [x, gain], outputs: [, inverse], dys: [dy], wants }) => {
    if (x === undefined || gain === undefined || inverse === undefined || dy === undefined) return [];
    return [
      wants[0] ? apply(rmsNormGradientOp, [x, gain, inverse, dy], null) : undefined,
      wants[1] ? mul(mul(x, inverse), dy) : undefined, // ḡ = Σ_N x̂ ⊙ ȳ, summed by the sweep
    ];
  },
  lower: {
    cpu: (e, { inputs: [x = "", gain = ""], attributes: { epsilon } }) => normalise(e, x, gain, epsilon, 2),
    // The provider's second output is the mean of x (1.30), not s. What no gradient reads is never run.
    webgpu: (e, { inputs: [x = "", gain = ""], attributes: { epsilon } }) => [
      ...normalise(e, x, gain, epsilon, 1),
      inverseRms(e, x, epsilon),
    ],
  },
  isCheap: true,
});

function normalise(e: Emitter, x: string, gain: string, epsilon: number, outputs: number): readonly string[] {
  const attributes = { axis: { int: -1 }, epsilon: { float: epsilon }, stash_type: { int: 1 } };
  return e.emit("SimplifiedLayerNormalization", [x, gain], { outputs, attributes });
}

/** x [N, C] → s [N, 1]. */
function inverseRms(e: Emitter, x: string, epsilon: number): string {
  const mean = e.emit("ReduceMean", [binary(e, "Mul", x, x), e.ints([1])], { attributes: { keepdims: { int: 1 } } })[0];
  return binary(e, "Div", e.float(1), e.emit("Sqrt", [binary(e, "Add", mean, e.float(epsilon))])[0]);
}

// x̄ = s·(g ⊙ ȳ) − x · s³/C · Σ_C(g ⊙ ȳ ⊙ x)
const rmsNormGradientOp = defineOp<null>({
  name: "RmsNormGradient",
  infer: (types) => [float32(...input("RmsNormGradient", types, 0, 2).shape)],
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [x = "", gain = "", inverse = "", dy = ""], outputs: [output] }) => {
    const columns = fixed("RmsNormGradient", extent(output?.shape ?? [], 1));
    const scaled = binary(e, "Mul", dy, gain); // [N, C]
    const dot = reduceSum(e, binary(e, "Mul", scaled, x), [1], true); // [N, 1]
    const cube = binary(e, "Mul", binary(e, "Mul", inverse, inverse), binary(e, "Mul", inverse, e.float(1 / columns)));
    return binary(e, "Sub", binary(e, "Mul", scaled, inverse), binary(e, "Mul", x, binary(e, "Mul", dot, cube)));
  }),
});

/** x [N, C], gain [C] → [N, C]. */
export function rmsNorm(x: Tensor, gain: Tensor, epsilon: number): Tensor {
  const [y] = applyAll(rmsNormOp, [x, gain], { epsilon });
  if (y === undefined) throw new Error("RmsNorm has no output");
  return y;
}
