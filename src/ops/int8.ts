import type { Emitter, Int8Weight } from "../graph/op.js";
import { binary, gemm, reduceMax } from "./engine-nodes.js";

// Products of a float32 value with an int8 weight, as in SwitchBack (Wortsman et al. 2023): the value is rounded to 8 bits
// on the way, with one scale for each row or one for all, multiplied in integers, and scaled back. Only on the CPU: the
// WebGPU provider has no integer product.

/** A value in uint8 around a zero point, and what gives its scale back. */
interface Codes {
  readonly codes: string;
  /** Scalars. */
  readonly scale: string;
  readonly zeroPoint: string;
  /** Factor on each row of the product, [N, 1]; none where one scale serves all rows. */
  readonly rowFactor?: string | undefined;
}

/** x [N, in] · Wᵀ → [N, out]. */
export function int8Forward(e: Emitter, x: string, weight: Int8Weight): string {
  const smooth = weight.part("smooth");
  const quantise = weight.range === "row" ? rowCodes : tensorCodes;
  // Layers that read one input share its codes.
  const values = e.once(`codes:${x}:${smooth}`, () => toNames(quantise(e, binary(e, "Mul", x, smooth))));
  const y = product(e, fromNames(values), weight.part("forwardCodes"), weight.part("forwardScales"), weight.part("forwardBias"));
  if (!weight.hasOutliers) return y;
  const indexes = weight.part("outliers");
  const [channels = ""] = e.once(`outliers:${x}:${indexes}`, () => e.emit("Gather", [x, indexes], { attributes: { axis: { int: 1 } } }));
  return gemm(e, channels, weight.part("outlierWeights"), { transposeB: true, addend: y });
}

/** dy [N, out] · W → [N, in]: gradients of rows differ in size by far, so that each row has its scale. */
export function int8Backward(e: Emitter, dy: string, weight: Int8Weight): string {
  return product(e, rowCodes(e, dy), weight.part("backwardCodes"), weight.part("backwardScales"));
}

/** One scale for the whole of x, from its smallest to its largest value. */
function tensorCodes(e: Emitter, x: string): Codes {
  const [codes, scale = "", zeroPoint = ""] = e.emit("DynamicQuantizeLinear", [x], { outputs: 3 });
  return { codes, scale, zeroPoint };
}

/** Rows divided by their largest magnitude, then rounded to steps of 1/127. */
function rowCodes(e: Emitter, x: string): Codes {
  // A row of zeros, as padding has, is divided by a tiny number.
  const largest = e.emit("Max", [reduceMax(e, e.emit("Abs", [x])[0], 1), e.float(1e-30)])[0]; // [N, 1]
  const unit = binary(e, "Mul", x, e.emit("Reciprocal", [largest])[0]);
  const [scale, zeroPoint] = [e.float(1 / 127), e.byte(128)];
  return { codes: e.emit("QuantizeLinear", [unit, scale, zeroPoint])[0], scale, zeroPoint, rowFactor: largest };
}

/** Codes [N, K] · int8 [K, M], each column with its scale → float32 [N, M], plus a bias [M]. */
function product(e: Emitter, { codes, scale, zeroPoint, rowFactor }: Codes, weight: string, scales: string, bias = ""): string {
  const within = rowFactor === undefined && bias !== "";
  const inputs = [codes, weight, scale, scales, zeroPoint, ...(within ? ["", bias] : [])];
  const y = e.emit("MatMulIntegerToFloat", inputs, { domain: "com.microsoft" })[0];
  if (rowFactor === undefined) return y;
  const scaled = binary(e, "Mul", y, rowFactor);
  return bias === "" ? scaled : binary(e, "Add", scaled, bias);
}

const toNames = ({ codes, scale, zeroPoint, rowFactor }: Codes): readonly string[] => [codes, scale, zeroPoint, rowFactor ?? ""];

const fromNames = ([codes = "", scale = "", zeroPoint = "", rowFactor = ""]: readonly string[]): Codes => ({
  codes,
  scale,
  zeroPoint,
  rowFactor: rowFactor === "" ? undefined : rowFactor,
});
