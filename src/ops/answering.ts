import type { AnsweringWeights, Emitter } from "../graph/op.js";
import { binary, reshapeTo, slice, transpose, unsqueeze } from "./engine-nodes.js";

// Products of a float32 value with weights in 8 bits, for few rows, and with blocks of 4 or 8 bits. The former only on the CPU: the WebGPU
// provider has no integer product.

interface AnsweringAttributes {
  /** Outputs of each layer. */
  readonly widths: readonly number[];
  /** N is 1. */
  readonly oneRow: boolean;
}

/** x [N, in] · Wᵀ [in, Σout], as one value for each width. */
export function answeringProducts(
  e: Emitter,
  x: string,
  weights: AnsweringWeights,
  { widths, oneRow }: AnsweringAttributes,
): readonly string[] {
  const rowsProduct = oneRow ? oneRowProduct : stackedProduct;
  const y = weights.kind === "blocks" ? blockProduct(e, x, weights, widths[0] ?? 0) : rowsProduct(e, x, weights);
  if (widths.length === 1) return [y];
  return e.emit("Split", [y, e.ints(widths)], { outputs: widths.length, attributes: { axis: { int: 1 } } });
}

/** W in blocks, each with a scale; unless x is to stay exact the engine rounds its rows likewise, as llama.cpp does with Q8_0. */
function blockProduct(
  e: Emitter,
  x: string,
  { part, inputs, block, bits, exact }: AnsweringWeights & { readonly kind: "blocks" },
  outputs: number,
): string {
  const attributes = {
    K: { int: inputs },
    N: { int: outputs },
    bits: { int: bits },
    block_size: { int: block },
    accuracy_level: { int: exact ? 0 : 4 }, // products of float32, or of 8-bit numbers
  };
  const zeros = bits === 8 ? [] : [part("zeros")];
  return e.emit("MatMulNBits", [x, part("codes"), part("scales"), ...zeros], { domain: "com.microsoft", attributes })[0];
}

// A row of u = x ⊙ smooth becomes codes c = round(u / s) + z in 256 steps s from its smallest value to its largest, so that
// u ≈ s·(c − z) and y = s·(c·W) − s·z·Σ W. What c leaves of u is rounded to 254 steps of its own where `fine`.
function stackedProduct(e: Emitter, x: string, { part, fine }: AnsweringWeights & { readonly kind: "rows" }): string {
  const rows = { attributes: { axis: { int: 0 } } };
  const u = binary(e, "Mul", x, part("smooth")); // [N, in]
  const most = e.emit("Max", [ends(e, "ReduceMax", u), e.float(1e-30)])[0]; // [N]; a row of zeros, as padding has, is divided by a tiny number
  const least = e.emit("Min", [ends(e, "ReduceMin", u), e.float(0)])[0];
  const step = binary(e, "Mul", binary(e, "Sub", most, least), e.float(1 / 255)); // s [N]
  const zero = e.emit("QuantizeLinear", [e.emit("Neg", [least])[0], step], rows)[0]; // z uint8 [N]
  const codes = e.emit("QuantizeLinear", [u, step, zero], rows)[0];
  const steps = unsqueeze(e, step, [1]); // [N, 1]
  const whole = product(e, codes, part, { step: e.float(1) });
  const y = fine ? binary(e, "Add", whole, rest(e, { u, codes, step, zero, steps }, part)) : whole;
  const zeros = unsqueeze(e, e.emit("DequantizeLinear", [zero, step], rows)[0], [1]); // s·z [N, 1]
  return binary(e, "Sub", binary(e, "Mul", y, steps), binary(e, "Mul", zeros, part("sums")));
}

/** The product of what the codes leave of u, in steps of s. */
function rest(
  e: Emitter,
  { u, codes, step, zero, steps }: Readonly<Record<"u" | "codes" | "step" | "zero" | "steps", string>>,
  part: Part,
): string {
  const rounded = e.emit("DequantizeLinear", [codes, step, zero], { attributes: { axis: { int: 0 } } })[0];
  const left = binary(e, "Div", binary(e, "Sub", u, rounded), steps); // from −½ to ½
  const [fineStep, middle] = [e.float(1 / 254), e.byte(128)];
  return product(e, e.emit("QuantizeLinear", [left, fineStep, middle])[0], part, { step: fineStep, zero: middle });
}

/** The same for a single row: the engine's own rounding of a whole tensor is then that of the row, in one node. */
function oneRowProduct(e: Emitter, x: string, { part, fine }: AnsweringWeights & { readonly kind: "rows" }): string {
  const u = binary(e, "Mul", x, part("smooth"));
  if (!fine) return e.emit("DynamicQuantizeMatMul", [u, part("codes"), part("scales")], { domain: "com.microsoft" })[0];
  const rounded = (value: string) => e.emit("DynamicQuantizeLinear", [value], { outputs: 3 });
  const [codes, step = "", zero = ""] = rounded(u);
  const whole = product(e, codes, part, { step, zero });
  const [rest, fineStep = "", fineZero = ""] = rounded(binary(e, "Sub", u, e.emit("DequantizeLinear", [codes, step, zero])[0]));
  return binary(e, "Add", whole, product(e, rest, part, { step: fineStep, zero: fineZero }));
}

type Part = (AnsweringWeights & { readonly kind: "rows" })["part"];

/** Codes uint8 [N, in], less their zero point and scaled, · W → [N, Σout]. */
function product(e: Emitter, codes: string, part: Part, { step, zero }: { readonly step: string; readonly zero?: string }): string {
  const inputs = [codes, part("codes"), step, part("scales"), ...(zero === undefined ? [] : [zero])];
  return e.emit("MatMulIntegerToFloat", inputs, { domain: "com.microsoft" })[0];
}

/** Rows of W for an index int64 [N] → [N, in]. Of weights in blocks, those of 8 bits. */
export function codedRows(e: Emitter, weights: AnsweringWeights, index: string): string {
  const pick = (from: string, axis: number) => e.emit("Gather", [from, index], { attributes: { axis: { int: axis } } })[0];
  if (weights.kind === "rows") {
    const { part } = weights;
    const codes = transpose(e, pick(part("codes"), 1), [1, 0]); // int8 [N, in]
    const values = e.emit("DequantizeLinear", [codes, pick(part("scales"), 0)], { attributes: { axis: { int: 0 } } })[0];
    return binary(e, "Mul", values, part("smooth"));
  }
  const { part, inputs, block } = weights;
  const codes = e.emit("Cast", [pick(part("codes"), 0)], { attributes: { to: { int: 1 } } })[0]; // [N, blocks, block]
  const scales = unsqueeze(e, pick(part("scales"), 0), [2]);
  const rows = reshapeTo(e, binary(e, "Mul", binary(e, "Sub", codes, e.float(BLOCK_ZERO)), scales), [0, -1]);
  return inputs % block === 0 ? rows : slice(e, rows, e.ints([0]), e.ints([inputs]), 1);
}

/** What a code of 8 bits in a block is around: its type has no sign. */
const BLOCK_ZERO = 128;

/** The largest or the smallest value of each row, [N]. */
function ends(e: Emitter, type: "ReduceMax" | "ReduceMin", x: string): string {
  return e.emit(type, [x, e.ints([1])], { attributes: { keepdims: { int: 0 } } })[0];
}
