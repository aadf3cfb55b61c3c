import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, everywhere, float32 } from "../graph/op.js";
import { binary } from "./engine-nodes.js";
import { count, input } from "./types.js";

/** Which Φ: the normal distribution's own by the error function, or its approximation by a hyperbolic tangent. */
export type GeluKind = "erf" | "tanh";

interface GeluAttributes {
  readonly kind: GeluKind;
}

// y = x·Φ(x), Φ the standard normal distribution                            Hendrycks & Gimpel 2016
const geluOp = defineOp<GeluAttributes>({
  name: "Gelu",
  infer: (types) => [float32(...input("Gelu", types, 0).shape)],
  gradient: ({ inputs: [x], dys: [dy], attributes }) => [apply(geluGradientOp, [x, dy], attributes)],
  lower: everywhere((e, { inputs: [x = ""], attributes: { kind } }) => geluNodes(e, x, kind)),
  isCheap: true,
});

// x̄ = ȳ ⊙ (Φ(x) + x·Φ′(x))
const geluGradientOp = defineOp<GeluAttributes>({
  name: "GeluGradient",
  infer: (types) => [float32(...input("GeluGradient", types, 0).shape)],
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [x = "", dy = ""], attributes: { kind } }) => binary(e, "Mul", dy, geluParts(e, x, kind).slope)),
  cost: ([x = []]) => ({ scratch: GELU_SCRATCH * count(x) }),
});

/** x·Φ(x) in one node of the engine. */
export function geluNodes(e: Emitter, x: string, kind: GeluKind): string {
  return e.emit(kind === "erf" ? "Gelu" : "FastGelu", [x], { domain: "com.microsoft" })[0];
}

/** Values of x's size that live at once within `geluParts`. */
export const GELU_SCRATCH = 4;

/** x·Φ(x) and its derivative Φ(x) + x·Φ′(x). */
export function geluParts(e: Emitter, x: string, kind: GeluKind): { readonly activated: string; readonly slope: string } {
  const { distribution, density } = kind === "erf" ? byErrorFunction(e, x) : byTangent(e, x);
  return { activated: binary(e, "Mul", x, distribution), slope: binary(e, "Add", distribution, binary(e, "Mul", x, density)) };
}

interface Distribution {
  readonly distribution: string;
  /** Its derivative. */
  readonly density: string;
}

// Φ = (1 + erf(x/√2)) / 2;  Φ′ = exp(−x²/2) / √2π
function byErrorFunction(e: Emitter, x: string): Distribution {
  const reduced = binary(e, "Mul", x, e.float(Math.SQRT1_2));
  const erf = e.emit("Erf", [reduced])[0];
  const bell = e.emit("Exp", [e.emit("Neg", [binary(e, "Mul", reduced, reduced)])[0]])[0];
  return {
    distribution: binary(e, "Add", binary(e, "Mul", erf, e.float(0.5)), e.float(0.5)),
    density: binary(e, "Mul", bell, e.float(1 / Math.sqrt(2 * Math.PI))),
  };
}

// Φ ≈ (1 + tanh(u)) / 2 = σ(2u),  2u = a·x + b·x³,  a = √(8/π),  b = 0.044715·a;  Φ′ = σ·(1 − σ)·(a + 3b·x²)
function byTangent(e: Emitter, x: string): Distribution {
  const linear = Math.sqrt(8 / Math.PI);
  const cubic = 0.044715 * linear;
  const square = binary(e, "Mul", x, x);
  const polynomial = (factor: number) => binary(e, "Add", binary(e, "Mul", square, e.float(factor)), e.float(linear));
  const sigmoid = e.emit("Sigmoid", [binary(e, "Mul", x, polynomial(cubic))])[0];
  const bell = binary(e, "Mul", sigmoid, binary(e, "Sub", e.float(1), sigmoid));
  return { distribution: sigmoid, density: binary(e, "Mul", bell, polynomial(3 * cubic)) };
}

/** x [..] → [..]. */
export const gelu = (x: Tensor, kind: GeluKind): Tensor => apply(geluOp, [x], { kind });
