import { sameShape } from "../graph/dimension.js";
import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32, type TensorType } from "../graph/op.js";
import { binary } from "./engine-nodes.js";
import { mul } from "./mul.js";
import { input } from "./types.js";

// y = (a − b)²;  ā = 2·(a − b) ⊙ ȳ,  b̄ = −ā
const squaredErrorOp = defineOp<null>({
  name: "SquaredError",
  infer: (types) => [inferEqual("SquaredError", types)],
  gradient: ({ inputs: [a, b], dys: [dy], wants }) => {
    const da = apply(squaredErrorGradientOp, [a, b, dy], null);
    return [da, wants[1] ? mul(da, da.graph.scalar(-1)) : undefined];
  },
  lower: everywhere((e, { inputs: [a = "", b = ""] }) => {
    const difference = binary(e, "Sub", a, b);
    return binary(e, "Mul", difference, difference);
  }),
});

const squaredErrorGradientOp = defineOp<null>({
  name: "SquaredErrorGradient",
  infer: (types) => [inferEqual("SquaredErrorGradient", types)],
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [a = "", b = "", dy = ""] }) =>
    binary(e, "Mul", binary(e, "Mul", binary(e, "Sub", a, b), e.float(2)), dy),
  ),
});

function inferEqual(name: string, types: readonly (TensorType | undefined)[]): TensorType {
  const [a, b] = [input(name, types, 0), input(name, types, 1)];
  if (!sameShape(a.shape, b.shape)) {
    throw new Error(`${name}: shapes of predictions and targets differ: [${a.shape.join(", ")}] and [${b.shape.join(", ")}]`);
  }
  return float32(...a.shape);
}

/** predictions [..], targets [..] → the square of each difference [..]. PyTorch's MSELoss is their mean. */
export const squaredError = (predictions: Tensor, targets: Tensor): Tensor => apply(squaredErrorOp, [predictions, targets], null);
