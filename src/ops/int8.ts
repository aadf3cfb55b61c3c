import type { Emitter, Int8Weight } from "../graph/op.js";
import { binary, reduceMax } from "./engine-nodes.js";

// Products of a float32 value with an int8 weight, as in SwitchBack (Wortsman et al. 2023): the value is rounded to 8 bits
// on the way, with one scale for each row or one for all, multiplied in integers, and scaled back. Only on the CPU: the
// WebGPU provider has no integer product.

/** Rows of a value in uint8, in steps of 1/127 of their largest magnitude around a zero point. */
interface Codes {
  readonly codes: string;
  /** Codes of what the first ones leave, where those are not exact enough. */
  readonly rest?: string | undefined;
  /** Factor on each row of the product, [N, 1]. */
  readonly rowFactor: string;
}

/** x [N, in] · Wᵀ → [N, out]. */
export function int8Forward(e: Emitter, x: string, weight: Int8Weight): string {
  const smooth = weight.part("smooth");
  const [matrix, scales] = [weight.part("forwardCodes"), weight.part("forwardScales")];
  // One scale for the whole of x, from its smallest to its largest value: the engine rounds and multiplies in one node.
  if (weight.range === "tensor") {
    return e.emit("DynamicQuantizeMatMul", [binary(e, "Mul", x, smooth), matrix, scales], { domain: "com.microsoft" })[0];
  }
  const quantise = { row: rowCodes, fine: fineCodes }[weight.range];
  // Layers that read one input share its codes.
  const values = e.once(`codes:${x}:${smooth}`, () => toNames(quantise(e, binary(e, "Mul", x, smooth))));
  return product(e, fromNames(values), matrix, scales);
}

/** dy [N, out] · W → [N, in]: gradients of rows differ in size by far, so that each row has its scale. */
export function int8Backward(e: Emitter, dy: string, weight: Int8Weight): string {
  return product(e, rowCodes(e, dy), weight.part("backwardCodes"), weight.part("backwardScales"));
}

/** Codes run from −127 to 127 around this. */
const ZERO_POINT = 128;
const STEP = 1 / 127;
/** Of what codes leave, half a step at most. */
const REST_STEP = (STEP * STEP) / 2;

/** Rows divided by their largest magnitude, then rounded to steps of 1/127. */
function rowCodes(e: Emitter, x: string): Codes {
  const { unit, largest } = unitRows(e, x);
  return { codes: rounded(e, unit, STEP), rowFactor: largest };
}

/** As `rowCodes`, and what that leaves again in steps of its 127th part. */
function fineCodes(e: Emitter, x: string): Codes {
  const { unit, largest } = unitRows(e, x);
  const codes = rounded(e, unit, STEP);
  const left = binary(e, "Sub", unit, e.emit("DequantizeLinear", [codes, e.float(STEP), e.byte(ZERO_POINT)])[0]);
  return { codes, rest: rounded(e, left, REST_STEP), rowFactor: largest };
}

const rounded = (e: Emitter, x: string, step: number): string => e.emit("QuantizeLinear", [x, e.float(step), e.byte(ZERO_POINT)])[0];

/** Rows divided by their largest magnitude [N, 1]. */
function unitRows(e: Emitter, x: string): { unit: string; largest: string } {
  // A row of zeros, as padding has, is divided by a tiny number.
  const largest = e.emit("Max", [reduceMax(e, e.emit("Abs", [x])[0], 1), e.float(1e-30)])[0];
  return { unit: binary(e, "Div", x, largest), largest };
}

/** Codes [N, K] · int8 [K, M], each column with its scale → float32 [N, M]. */
function product(e: Emitter, { codes, rest, rowFactor }: Codes, weight: string, scales: string): string {
  const of = (some: string, step: number) =>
    e.emit("MatMulIntegerToFloat", [some, weight, e.float(step), scales, e.byte(ZERO_POINT)], { domain: "com.microsoft" })[0];
  const y = rest === undefined ? of(codes, STEP) : binary(e, "Add", of(codes, STEP), of(rest, REST_STEP));
  return binary(e, "Mul", y, rowFactor);
}

const toNames = ({ codes, rest, rowFactor }: Codes): readonly string[] => [codes, rowFactor, ...(rest === undefined ? [] : [rest])];

const fromNames = ([codes = "", rowFactor = "", rest]: readonly string[]): Codes => ({ codes, rowFactor, rest });
