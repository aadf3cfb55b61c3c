import { applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { binary } from "./engine-nodes.js";
import { expectEqual, extent, input } from "./types.js";

interface AdamWAttributes {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

// m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²,  θ ← kθ − a·m / (√v / c + ε)
// with a = η/(1−β₁ᵗ), c = √(1−β₂ᵗ), k = 1 − ηλ fed for each step                Loshchilov & Hutter 2019, algorithm 2
const adamwOp = defineOp<AdamWAttributes>({
  name: "AdamW",
  infer: (types) => {
    const vectors = [0, 1, 2, 3].map((index) => input("AdamW", types, index, 1));
    const length = extent(vectors[0]?.shape ?? [], 0);
    for (const { shape } of vectors) expectEqual("AdamW", "lengths of the vectors", extent(shape, 0), length);
    for (const index of [4, 5, 6]) input("AdamW", types, index, 1);
    return [float32(length), float32(length), float32(length)];
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs, attributes: { beta1, beta2, epsilon } }) => {
    const [parameters = "", gradient = "", first = "", second = "", stepSize = "", correction = "", keep = ""] = inputs;
    const average = (old: string, beta: number, value: string) =>
      binary(e, "Add", binary(e, "Mul", old, e.float(beta)), binary(e, "Mul", value, e.float(1 - beta)));
    const m = average(first, beta1, gradient);
    const v = average(second, beta2, binary(e, "Mul", gradient, gradient));
    const scale = binary(e, "Add", binary(e, "Div", e.emit("Sqrt", [v])[0], correction), e.float(epsilon));
    const step = binary(e, "Div", binary(e, "Mul", m, stepSize), scale);
    return [binary(e, "Sub", binary(e, "Mul", parameters, keep), step), m, v];
  }),
});

export interface AdamWInputs {
  readonly parameters: Tensor; // [P]
  readonly gradient: Tensor; // [P]
  readonly first: Tensor; // [P]
  readonly second: Tensor; // [P]
  readonly stepSize: Tensor; // [1]
  readonly correction: Tensor; // [1]
  readonly keep: Tensor; // [1]
}

/** One step of AdamW: the new parameters and moments, [P] each. */
export function adamw(inputs: AdamWInputs, attributes: AdamWAttributes): { parameters: Tensor; first: Tensor; second: Tensor } {
  const { parameters, gradient, first, second, stepSize, correction, keep } = inputs;
  const [updated, m, v] = applyAll(adamwOp, [parameters, gradient, first, second, stepSize, correction, keep], attributes);
  if (updated === undefined || m === undefined || v === undefined) throw new Error("AdamW has three outputs");
  return { parameters: updated, first: m, second: v };
}
