import { applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, float32, type Int8Weight, type TensorType } from "../graph/op.js";
import { chunksOf } from "./chunks.js";
import { binary, concat, reduceMax, reshapeTo, softmax, splitEvenly, unsqueeze } from "./engine-nodes.js";
import { int8Forward } from "./int8.js";
import { mul } from "./mul.js";
import { reshape } from "./reshape.js";
import { capped, tanhSlope, throughTanh, times } from "./soft-cap.js";
import { rowsOfTable, timesTable, timesTableTransposed } from "./table.js";
import { count, expectEqual, extent, fixed, input } from "./types.js";
import { vocabularyGradient } from "./vocabulary-gradient.js";

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
const vocabularyLossOp = defineOp<VocabularyLossAttributes>({
  name: "VocabularyLoss",
  infer: (types) => {
    const x = input("VocabularyLoss", types, 0, 2);
    const weight = input("VocabularyLoss", types, 1, 2);
    const targets = input("VocabularyLoss", types, 2, 1, "int64");
    expectEqual("VocabularyLoss", "rows of x and targets", extent(x.shape, 0), extent(targets.shape, 0));
    expectEqual("VocabularyLoss", "columns of x and of W", extent(x.shape, 1), extent(weight.shape, 1));
    return [float32(extent(x.shape, 0)), float32(...x.shape)]; // ℓ [S], ∂ℓᵢ/∂xᵢ [S, C]
  },
  gradient: ({ inputs: [x, weight, targets], outputs: [, rowGradients], dys: [dy, dyGradients], wants, attributes }) => {
    if (!attributes.differentiable || dyGradients !== undefined)
      throw new Error("VocabularyLoss has a gradient where it is asked for, and no second one");
    if (rowGradients === undefined || dy === undefined) return [];
    return [
      wants[0] ? mul(rowGradients, reshape(dy, [extent(dy.shape, 0), 1])) : undefined, // x̄ᵢ = ȳᵢ·∂ℓᵢ/∂xᵢ
      wants[1] && x && weight && targets ? vocabularyGradient(x, weight, targets, dy, attributes) : undefined,
    ];
  },
  lower: {
    cpu: (e, { inputs: [x = "", weight = "", targets = ""], attributes, types }) => {
      const shape = weightShape(types);
      const rows = splitEvenly(e, x, attributes.chunks, 0);
      const wanted = splitEvenly(e, targets, attributes.chunks, 0);
      const chunks = rows.map((row, index) => {
        const target = wanted[index] ?? "";
        return lossOfChunk(e, { x: row, weight, targets: target, column: unsqueeze(e, target, [1]), shape }, attributes);
      });
      return separate(e, concat(e, chunks, 0), shape[1], attributes);
    },
    // int64 cannot be split there: the rows are one chunk.
    webgpu: (e, { inputs: [x = "", weight = "", targets = ""], attributes, types }) => {
      const shape = weightShape(types);
      const whole = lossOfChunk(e, { x, weight, targets, column: e.column(targets), shape }, attributes);
      return separate(e, whole, shape[1], attributes);
    },
  },
  cost: ([x = [], weight = []], { chunks, differentiable, softCap }) => ({
    flops: (differentiable ? 4 : 2) * count(x) * (weight[0] ?? 0),
    // Logits and probabilities, beside the tanh of a soft cap and its slope.
    scratch: ((softCap === undefined ? 2 : 4) * (x[0] ?? 0) * (weight[0] ?? 0)) / chunks,
  }),
});

function weightShape([, weight]: readonly (TensorType | undefined)[]): readonly [number, number] {
  const size = (axis: number) => fixed("VocabularyLoss", extent(weight?.shape ?? [], axis));
  return [size(0), size(1)];
}

interface Chunk {
  readonly x: string;
  readonly weight: string;
  readonly targets: string;
  /** The targets as [S, 1]. */
  readonly column: string;
  /** Of the weight, [V, C]. */
  readonly shape: readonly [number, number];
}

/**
 * Rows x [S, C] → their losses [S, 1], behind their gradients, [S, C + 1], where those are wanted: as one value, so that the
 * engine is done with one chunk before it begins another.
 *
 * The log-sum-exp is max(z) − log max(softmax(z)): the softmax of the largest logit is never below 1/V. (The CPU's own
 * ReduceLogSumExp, which adds one by one, is 5e-5 too small over a vocabulary of 49,152, and four times slower.)
 */
function lossOfChunk(e: Emitter, chunk: Chunk, { differentiable, softCap }: VocabularyLossAttributes): string {
  const { x, weight, targets, column, shape } = chunk;
  const int8 = e.target === "cpu" ? e.int8(weight) : undefined;
  const products = int8 === undefined ? timesTableTransposed(e, x, weight, shape) : int8Forward(e, x, int8); // [S, V]
  const { values: logits, tanh } = capped(e, softCap === undefined ? products : times(e, products, 1 / softCap), softCap);
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
  return concat(e, [gradients, losses], 1);
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

/** [S, 1] or [S, C + 1] → ℓ [S] and, where there are any, the gradients [S, C]. */
function separate(e: Emitter, packed: string, columns: number, { differentiable }: VocabularyLossAttributes): readonly string[] {
  const flat = (column: string) => e.emit("Squeeze", [column, e.ints([1])])[0];
  if (!differentiable) return [flat(packed)];
  const [gradients, losses = ""] = e.emit("Split", [packed, e.ints([columns, 1])], { outputs: 2, attributes: { axis: { int: 1 } } });
  return [flat(losses), gradients];
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

/** x [S, C], W [V, C], targets int64 [S] → the negative log-likelihood of each row's target [S], in nats. */
export function vocabularyLoss(x: Tensor, weight: Tensor, targets: Tensor, attributes: VocabularyLossAttributes): Tensor {
  const [losses] = applyAll(vocabularyLossOp, [x, weight, targets], attributes);
  if (losses === undefined) throw new Error("VocabularyLoss has no output");
  return losses;
}
