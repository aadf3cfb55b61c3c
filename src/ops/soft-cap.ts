import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, everywhere, float32 } from "../graph/op.js";
import { binary } from "./engine-nodes.js";
import { count, input } from "./types.js";

interface SoftCapAttributes {
  /** What no output exceeds. */
  readonly cap: number;
}

// y = c·tanh(x/c)                                                           Gemma Team 2024, "Gemma 2", section 2
const softCapOp = defineOp<SoftCapAttributes>({
  name: "SoftCap",
  infer: (types) => [float32(...input("SoftCap", types, 0).shape)],
  gradient: ({ outputs: [y], dys: [dy], attributes }) => [apply(softCapGradientOp, [y, dy], attributes)],
  lower: everywhere((e, { inputs: [x = ""], attributes: { cap } }) => capped(e, times(e, x, 1 / cap), cap).values),
});

// x̄ = ȳ ⊙ (1 − (y/c)²)
const softCapGradientOp = defineOp<SoftCapAttributes>({
  name: "SoftCapGradient",
  infer: (types) => [float32(...input("SoftCapGradient", types, 0).shape)],
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [y = "", dy = ""], attributes: { cap } }) => throughTanh(e, dy, times(e, y, 1 / cap))),
  cost: ([y = []]) => ({ scratch: 2 * count(y) }),
});

/** Values that were divided by the cap → cap·tanh(z), and the tanh; without a cap they stay as they are. */
export function capped(e: Emitter, x: string, cap: number | undefined): { readonly values: string; readonly tanh: string | undefined } {
  if (cap === undefined) return { values: x, tanh: undefined };
  const tanh = e.emit("Tanh", [x])[0];
  return { values: times(e, tanh, cap), tanh };
}

/** The slope of t = tanh(x), 1 − t². */
export function tanhSlope(e: Emitter, tanh: string): string {
  return binary(e, "Sub", e.float(1), binary(e, "Mul", tanh, tanh));
}

/** The gradient ȳ of tanh(x) → that of x. */
export function throughTanh(e: Emitter, dy: string, tanh: string): string {
  return binary(e, "Mul", dy, tanhSlope(e, tanh));
}

/** x times a number. */
export function times(e: Emitter, x: string, factor: number): string {
  return factor === 1 ? x : binary(e, "Mul", x, e.float(factor));
}

/** x [..] → [..], softly held between −cap and cap. */
export const softCap = (x: Tensor, cap: number): Tensor => apply(softCapOp, [x], { cap });

/** x [..] → [..]: the cap is 1. */
export const tanh = (x: Tensor): Tensor => softCap(x, 1);
