import { applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, float32, type Int8Weight, type TensorType } from "../graph/op.js";
import { chunksOf } from "./chunks.js";
import { binary, concat, gemm, reduceMax, reshapeTo, softmax, splitEvenly, unsqueeze } from "./engine-nodes.js";
import { mul } from "./mul.js";
import { reshape } from "./reshape.js";
import { tanhSlope, throughTanh, times } from "./soft-cap.js";
import { rowsOfTable, timesTable } from "./table.js";
import { count, expectEqual, extent, fixed, input } from "./types.js";
import { vocabularyGradient } from "./vocabulary-gradient.js";
import { type LogitInputs, vocabularyLogits } from "./vocabulary-logits.js";

interface VocabularyLossAttributes {
  /** Parts in which the rows are computed, one after the other; it divides the number of rows. The logits of one part live at a time. */
  readonly chunks: number;
  /** Whether the gradient of each row is computed beside its loss. */
  readonly differentiable: boolean;
  /** Logits z become c·tanh(z/c) (Gemma Team 2024, "Gemma 2", section 2). */
  readonly softCap?: number | undefined;
}

// ℓᵢ = log Σⱼ exp(zᵢⱼ) − zᵢₜ,  z = x·Wᵀ;  ∂ℓᵢ/∂xᵢ = softmax(zᵢ)·W − Wₜ
//
// The output projection and the cross-entropy in one: logits are the largest values of a step. The loss of a row depends on
// its own logits alone, so its gradient is known, up to the factor ȳᵢ, while they are there, and they need not be kept.
// With a soft cap its slope multiplies each probability, and Wₜ.
//
// A low-rank matrix beside W, as LoRA has it, is z = x·Wᵀ + u·Pᵀ, P [V, R];  ∂ℓᵢ/∂uᵢ = softmax(zᵢ)·P − Pₜ
const vocabularyLossOp = defineOp<VocabularyLossAttributes>({
  name: "VocabularyLoss",
  infer: (types) => {
    const x = input("VocabularyLoss", types, 0, 2);
    const weight = input("VocabularyLoss", types, 1, 2);
    const targets = input("VocabularyLoss", types, 2, 1, "int64");
    expectEqual("VocabularyLoss", "rows of x and targets", extent(x.shape, 0), extent(targets.shape, 0));
    expectEqual("VocabularyLoss", "columns of x and of W", extent(x.shape, 1), extent(weight.shape, 1));
    const own = [float32(extent(x.shape, 0)), float32(...x.shape)]; // ℓ [S], ∂ℓᵢ/∂xᵢ [S, C]
    if (types[3] === undefined && types[4] === undefined) return own;
    const factors = input("VocabularyLoss", types, 3, 2);
    const table = input("VocabularyLoss", types, 4, 2);
    expectEqual("VocabularyLoss", "rows of x and u", extent(x.shape, 0), extent(factors.shape, 0));
    expectEqual("VocabularyLoss", "columns of u and P", extent(factors.shape, 1), extent(table.shape, 1));
    expectEqual("VocabularyLoss", "rows of W and P", extent(weight.shape, 0), extent(table.shape, 0));
    return [...own, float32(...factors.shape)]; // ∂ℓᵢ/∂uᵢ [S, R]
  },
  gradient: ({ inputs: [x, weight, targets, factors, table], outputs, dys: [dy, ...others], wants, attributes }) => {
    if (!attributes.differentiable || others.some((other) => other !== undefined))
      throw new Error("VocabularyLoss has a gradient where it is asked for, and no second one");
    if (dy === undefined || x === undefined || weight === undefined || targets === undefined) return [];
    const column = reshape(dy, [extent(dy.shape, 0), 1]);
    const rows = (wanted: boolean | undefined, gradient: Tensor | undefined) => (wanted && gradient ? mul(gradient, column) : undefined);
    const ofMatrix = (of: "weight" | "table") => vocabularyGradient({ x, weight, targets, dy, factors, table }, { ...attributes, of });
    return [
      rows(wants[0], outputs[1]), // x̄ᵢ = ȳᵢ·∂ℓᵢ/∂xᵢ
      wants[1] ? ofMatrix("weight") : undefined,
      undefined,
      rows(wants[3], outputs[2]), // ūᵢ = ȳᵢ·∂ℓᵢ/∂uᵢ
      wants[4] ? ofMatrix("table") : undefined,
    ];
  },
  lower: {
    cpu: (e, { inputs: [x = "", weight = "", targets = "", factors = "", table = ""], attributes, types }) => {
      const shape = weightShape(types);
      const [rows, wanted, lowRank] = [x, targets, factors].map((value) =>
        value === "" ? [] : splitEvenly(e, value, attributes.chunks, 0),
      );
      const chunks = (rows ?? []).map((row, index) => {
        const target = wanted?.[index] ?? "";
        const chunk = { x: row, weight, shape, factors: lowRank?.[index] ?? "", table };
        return lossOfChunk(e, { ...chunk, targets: target, column: unsqueeze(e, target, [1]) }, attributes);
      });
      return separate(e, concat(e, chunks, 0), widthsOf(types), attributes);
    },
    // int64 cannot be split there: the rows are one chunk.
    webgpu: (e, { inputs: [x = "", weight = "", targets = "", factors = "", table = ""], attributes, types }) => {
      const whole = { x, weight, shape: weightShape(types), factors, table, targets, column: e.column(targets) };
      return separate(e, lossOfChunk(e, whole, attributes), widthsOf(types), attributes);
    },
  },
  cost: ([x = [], weight = [], , factors = []], { chunks, differentiable, softCap }) => ({
    flops: (differentiable ? 4 : 2) * (count(x) + (factors.length === 0 ? 0 : count(factors))) * (weight[0] ?? 0),
    // Logits and probabilities, beside the tanh of a soft cap and its slope.
    scratch: ((softCap === undefined ? 2 : 4) * (x[0] ?? 0) * (weight[0] ?? 0)) / chunks,
  }),
});

function weightShape([, weight]: readonly (TensorType | undefined)[]): readonly [number, number] {
  const size = (axis: number) => fixed("VocabularyLoss", extent(weight?.shape ?? [], axis));
  return [size(0), size(1)];
}

/** Columns of the gradients: those of x and, where there are factors, theirs. */
function widthsOf([x, , , factors]: readonly (TensorType | undefined)[]): readonly number[] {
  return [x, factors].flatMap((type) => (type === undefined ? [] : [fixed("VocabularyLoss", extent(type.shape, 1))]));
}

interface Chunk extends LogitInputs {
  readonly targets: string;
  /** The targets as [S, 1]. */
  readonly column: string;
}

/**
 * Rows x [S, C] → their losses [S, 1], behind their gradients, [S, C + R + 1], where those are wanted: as one value, so that the
 * engine is done with one chunk before it begins another.
 *
 * The log-sum-exp is max(z) − log max(softmax(z)): the softmax of the largest logit is never below 1/V. (The CPU's own
 * ReduceLogSumExp, which adds one by one, is 5e-5 too small over a vocabulary of 49,152, and four times slower.)
 */
function lossOfChunk(e: Emitter, chunk: Chunk, { differentiable, softCap }: VocabularyLossAttributes): string {
  const { weight, table, targets, column, shape } = chunk;
  const int8 = e.target === "cpu" ? e.int8(weight) : undefined;
  const { values: logits, tanh } = vocabularyLogits(e, chunk, softCap); // [S, V]
  const chosen = e.emit("GatherElements", [logits, column], { attributes: { axis: { int: 1 } } })[0]; // [S, 1]
  const probabilities = softmax(e, logits);
  const largest = reduceMax(e, probabilities, 1);
  const top = binary(e, "Sub", reduceMax(e, logits, 1), e.emit("Log", [largest])[0]); // log Σ exp, [S, 1]
  const losses = binary(e, "Sub", top, chosen);
  if (!differentiable) return losses;
  const rows = rowsOfTable(e, weight, targets); // Wₜ [S, C]
  const weights = tanh === undefined ? probabilities : throughTanh(e, probabilities, tanh);
  const slope = softCap === undefined ? undefined : tanhSlope(e, times(e, chosen, 1 / softCap)); // of the target [S, 1]
  const gradients =
    int8 === undefined
      ? timesTable(e, weights, weight, shape, { addend: timesSlope(e, rows, slope), addendScale: -1 })
      : int8Gradients(e, weights, int8, { losses, column, rows, vocabulary: shape[0], largest, slope });
  if (table === "") return concat(e, [gradients, losses], 1);
  const ofFactors = binary(e, "Sub", gemm(e, weights, table), timesSlope(e, rowsOfTable(e, table, targets), slope)); // [S, R]
  return concat(e, [gradients, ofFactors, losses], 1);
}

/** x times the slope of a soft cap, where there is one. */
function timesSlope(e: Emitter, x: string, slope: string | undefined): string {
  return slope === undefined ? x : binary(e, "Mul", x, slope);
}

/**
 * softmax(z)·W − Wₜ with probabilities in uint8. A row's scale fits its largest probability beside the target's, which is at
 * most 1 − pₜ, so that a row that is nearly right keeps the others apart. The target's own code may then end at 255; what it
 * stands for is taken out again, and its share, −(1 − pₜ)·Wₜ, added in float32.
 *
 * Most probabilities are too small for a code. Rounded to zero they would all be lost, and with them the direction in which
 * the unlikely tokens of every row point; a dither before the rounding keeps their sum (Schuchman 1964).
 */
function int8Gradients(
  e: Emitter,
  probabilities: string,
  weight: Int8Weight,
  {
    losses,
    column,
    rows,
    vocabulary,
    largest,
    slope,
  }: {
    readonly losses: string;
    readonly column: string;
    readonly rows: string;
    readonly vocabulary: number;
    readonly largest: string;
    readonly slope: string | undefined;
  },
): string {
  const wrong = binary(e, "Sub", e.float(1), e.emit("Exp", [e.emit("Neg", [losses])[0]])[0]); // 1 − pₜ [S, 1]
  const range = e.emit("Min", [largest, wrong])[0];
  // Codes of a row add up to 1/scale, give or take their rounding, and their products with 127 stay below 2³¹.
  const scale = e.emit("Max", [binary(e, "Mul", range, e.float(1 / 255)), e.float(130 / 2 ** 31)])[0];
  const unit = binary(e, "Mul", probabilities, e.emit("Reciprocal", [scale])[0]);
  const [dither] = e.once(`dither:${vocabulary}`, () => [e.float(ditherTable(vocabulary), [1, DITHER_ROWS, vocabulary])]);
  const shifted = binary(e, "Add", reshapeTo(e, unit, [-1, DITHER_ROWS, vocabulary]), dither ?? "");
  const codes = e.emit("QuantizeLinear", [reshapeTo(e, shifted, [-1, vocabulary]), e.float(1), e.byte(0)])[0]; // [S, V]
  const inputs = [codes, weight.part("backwardCodes"), e.float(1), weight.part("backwardScales"), e.byte(0)];
  const all = e.emit("MatMulIntegerToFloat", inputs, { domain: "com.microsoft" })[0]; // [S, C]
  const targets = e.emit("GatherElements", [codes, column], { attributes: { axis: { int: 1 } } })[0];
  const counted = binary(e, "Mul", e.emit("Cast", [targets], { attributes: { to: { int: 1 } } })[0], scale);
  return binary(e, "Sub", binary(e, "Mul", all, scale), binary(e, "Mul", rows, binary(e, "Add", counted, timesSlope(e, wrong, slope))));
}

/** Rows after which the dither repeats; the number of rows of a chunk is a multiple of it. */
export const DITHER_ROWS = 8;

/**
 * Numbers in (−½, ½) [DITHER_ROWS, V]: in each column one from each eighth of that range, in an order and at an offset of the
 * column's own, so that equal values of several rows keep their sum.
 */
function ditherTable(vocabulary: number): Float32Array {
  const table = new Float32Array(DITHER_ROWS * vocabulary);
  let state = 1;
  for (let column = 0; column < vocabulary; column++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0; // Numerical Recipes' generator
    const offset = (state >>> 8) / 2 ** 24;
    const [stride, start] = [1 + 2 * ((state >>> 29) & 3), (state >>> 26) & 7]; // an odd stride visits all eighths
    for (let row = 0; row < DITHER_ROWS; row++) {
      table[row * vocabulary + column] = (((row * stride + start) % DITHER_ROWS) + offset) / DITHER_ROWS - 0.5;
    }
  }
  return table;
}

/** [S, 1] or [S, C + R + 1] → ℓ [S] and, where there are any, the gradients [S, C] and [S, R]. */
function separate(e: Emitter, packed: string, widths: readonly number[], { differentiable }: VocabularyLossAttributes): readonly string[] {
  const flat = (column: string) => e.emit("Squeeze", [column, e.ints([1])])[0];
  if (!differentiable) return [flat(packed)];
  const parts = e.emit("Split", [packed, e.ints([...widths, 1])], { outputs: widths.length + 1, attributes: { axis: { int: 1 } } });
  return [flat(parts.at(-1) ?? ""), ...parts.slice(0, -1)];
}

/** Chunks of a vocabulary's loss hold about this many rows: enough for fast products, few enough for the memory of logits. */
const ROWS_PER_CHUNK = 256;
/** Of a larger vocabulary they hold fewer rows: about so many logits, 134 MB. */
const LOGITS_PER_CHUNK = 2 ** 25;
/** Then there may be so many; the number of learned tokens is padded to a multiple of them. */
const MOST_OF_FEWER_ROWS = 32;

/** How many chunks a batch of up to `rows` learned tokens is computed in. */
export function lossChunks(rows: number, vocabulary: number): number {
  const size = Math.min(ROWS_PER_CHUNK, LOGITS_PER_CHUNK / vocabulary);
  return chunksOf(rows, size, size < ROWS_PER_CHUNK ? MOST_OF_FEWER_ROWS : undefined);
}

/** A low-rank matrix beside the W of a vocabulary's projection, z = x·Wᵀ + u·Pᵀ. */
export interface BesideVocabulary {
  readonly factors: Tensor; // u [S, R]
  readonly table: Tensor; // P [V, R]
}

/** x [S, C], W [V, C], targets int64 [S] → the negative log-likelihood of each row's target [S], in nats. */
export function vocabularyLoss(
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  { beside, ...attributes }: VocabularyLossAttributes & { readonly beside?: BesideVocabulary | undefined },
): Tensor {
  const inputs = [x, weight, targets, ...(beside === undefined ? [] : [beside.factors, beside.table])];
  const [losses] = applyAll(vocabularyLossOp, inputs, attributes);
  if (losses === undefined) throw new Error("VocabularyLoss has no output");
  return losses;
}
