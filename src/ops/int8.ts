import type { Emitter, Int8Weight } from "../graph/op.js";
import { binary, reduceMax } from "./engine-nodes.js";

// Products of a float32 value with an int8 weight, as in SwitchBack (Wortsman et al. 2023): the value is rounded to 8 bits
// on the way, with one scale for each row or one for all, multiplied in integers, and scaled back. Only on the CPU: the
// WebGPU provider has no integer product.

/** A value in uint8 around a zero point, and what gives its scale back. */
interface Codes {
  readonly codes: string;
  /** Scalars. */
  readonly scale: string;
  readonly zeroPoint: string;
  /** Codes of what the first ones leave, and their scale, where one is not exact enough. */
  readonly rest?: { readonly codes: string; readonly scale: string } | undefined;
  /** Factor on each row of the product, [N, 1]; none where one scale serves all rows. */
  readonly rowFactor?: string | undefined;
}

/** x [N, in] · Wᵀ → [N, out]. */
export function int8Forward(e: Emitter, x: string, weight: Int8Weight): string {
  const smooth = weight.part("smooth");
  const quantise = { tensor: tensorCodes, row: rowCodes, fine: fineCodes }[weight.range];
  // Layers that read one input share its codes.
  const values = e.once(`codes:${x}:${smooth}`, () => toNames(quantise(e, binary(e, "Mul", x, smooth))));
  return product(e, fromNames(values), weight.part("forwardCodes"), weight.part("forwardScales"));
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

/** Codes run from −127 to 127 around this. */
const ZERO_POINT = 128;
const STEP = 1 / 127;

/** Rows divided by their largest magnitude, then rounded to steps of 1/127. */
function rowCodes(e: Emitter, x: string): Codes {
  const { unit, largest } = unitRows(e, x);
  const [scale, zeroPoint] = [e.float(STEP), e.byte(ZERO_POINT)];
  return { codes: e.emit("QuantizeLinear", [unit, scale, zeroPoint])[0], scale, zeroPoint, rowFactor: largest };
}

/** As `rowCodes`, and what that leaves, half a step at most, again in steps of its 127th part. */
function fineCodes(e: Emitter, x: string): Codes {
  const { unit, largest } = unitRows(e, x);
  const [scale, zeroPoint] = [e.float(STEP), e.byte(ZERO_POINT)];
  const codes = e.emit("QuantizeLinear", [unit, scale, zeroPoint])[0];
  const left = binary(e, "Sub", unit, e.emit("DequantizeLinear", [codes, scale, zeroPoint])[0]);
  const restScale = e.float((STEP * STEP) / 2);
  const rest = { codes: e.emit("QuantizeLinear", [left, restScale, zeroPoint])[0], scale: restScale };
  return { codes, scale, zeroPoint, rest, rowFactor: largest };
}

/** Rows divided by their largest magnitude [N, 1]. */
function unitRows(e: Emitter, x: string): { unit: string; largest: string } {
  // A row of zeros, as padding has, is divided by a tiny number.
  const largest = e.emit("Max", [reduceMax(e, e.emit("Abs", [x])[0], 1), e.float(1e-30)])[0];
  return { unit: binary(e, "Div", x, largest), largest };
}

/** Codes [N, K] · int8 [K, M], each column with its scale → float32 [N, M]. */
function product(e: Emitter, { codes, scale, zeroPoint, rest, rowFactor }: Codes, weight: string, scales: string): string {
  const of = (some: string, by: string) =>
    e.emit("MatMulIntegerToFloat", [some, weight, by, scales, zeroPoint], { domain: "com.microsoft" })[0];
  const y = rest === undefined ? of(codes, scale) : binary(e, "Add", of(codes, scale), of(rest.codes, rest.scale));
  return rowFactor === undefined ? y : binary(e, "Mul", y, rowFactor);
}

const toNames = ({ codes, scale, zeroPoint, rest, rowFactor }: Codes): readonly string[] => [
  ...[codes, scale, zeroPoint, rowFactor ?? ""],
  ...(rest === undefined ? [] : [rest.codes, rest.scale]),
];

const fromNames = ([codes = "", scale = "", zeroPoint = "", rowFactor = "", rest = "", restScale = ""]: readonly string[]): Codes => ({
  codes,
  scale,
  zeroPoint,
  rest: rest === "" ? undefined : { codes: rest, scale: restScale },
  rowFactor: rowFactor === "" ? undefined : rowFactor,
});
