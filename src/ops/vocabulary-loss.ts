import { applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, everywhere, float32, type Int8Weight } from "../graph/op.js";
import { binary, concat, gemm, reduceMax, reduceSum, softmax, splitEvenly, unsqueeze } from "./engine-nodes.js";
import { int8Forward } from "./int8.js";
import { mul } from "./mul.js";
import { reshape } from "./reshape.js";
import { count, expectEqual, extent, fixed, input } from "./types.js";

interface VocabularyLossAttributes {
  /** Parts in which the rows are computed, one after the other; it divides the number of rows. The logits of one part live at a time. */
  readonly chunks: number;
  /** Whether the gradient of each row is computed beside its loss. */
  readonly differentiable: boolean;
}

// ℓᵢ = log Σⱼ exp(zᵢⱼ) − zᵢₜ,  z = x·Wᵀ;  ∂ℓᵢ/∂xᵢ = softmax(zᵢ)·W − Wₜ
//
// The output projection and the cross-entropy in one: logits are the largest values of a step. The loss of a row depends on
// its own logits alone, so its gradient is known, up to the factor ȳᵢ, while they are there, and they need not be kept.
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
  gradient: ({ outputs: [, rowGradients], dys: [dy, dyGradients], wants, attributes }) => {
    if (wants[1]) throw new Error("VocabularyLoss: its weight is frozen and has no gradient");
    if (!attributes.differentiable || dyGradients !== undefined) throw new Error("VocabularyLoss has a gradient where it is asked for, and no second one");
    if (rowGradients === undefined || dy === undefined) return [];
    return [mul(rowGradients, reshape(dy, [extent(dy.shape, 0), 1]))]; // x̄ᵢ = ȳᵢ·∂ℓᵢ/∂xᵢ
  },
  lower: {
    cpu: (e, { inputs: [x = "", weight = "", targets = ""], attributes, types }) => {
      const rows = splitEvenly(e, x, attributes.chunks, 0);
      const wanted = splitEvenly(e, targets, attributes.chunks, 0);
      const chunks = rows.map((row, index) => {
        const target = wanted[index] ?? "";
        return lossOfChunk(e, row, weight, target, unsqueeze(e, target, [1]), attributes.differentiable);
      });
      return separate(e, concat(e, chunks, 0), fixed("VocabularyLoss", extent(types[0]?.shape ?? [], 1)), attributes);
    },
    // int64 cannot be split there: the rows are one chunk.
    webgpu: (e, { inputs: [x = "", weight = "", targets = ""], attributes, types }) => {
      const whole = lossOfChunk(e, x, weight, targets, e.column(targets), attributes.differentiable);
      return separate(e, whole, fixed("VocabularyLoss", extent(types[0]?.shape ?? [], 1)), attributes);
    },
  },
  cost: ([x = [], weight = []], { chunks, differentiable }) => ({
    flops: (differentiable ? 4 : 2) * count(x) * (weight[0] ?? 0),
    scratch: (2 * (x[0] ?? 0) * (weight[0] ?? 0)) / chunks, // logits and probabilities
  }),
});

/**
 * Rows x [S, C] → their losses [S, 1], behind their gradients, [S, C + 1], where those are wanted: as one value, so that the
 * engine is done with one chunk before it begins another.
 *
 * The log-sum-exp is max(z) − log max(softmax(z)): the softmax of the largest logit is never below 1/V. (The CPU's own
 * ReduceLogSumExp, which adds one by one, is 5e-5 too small over a vocabulary of 49,152, and four times slower.)
 */
function lossOfChunk(e: Emitter, x: string, weight: string, targets: string, column: string, differentiable: boolean): string {
  const int8 = e.target === "cpu" ? e.int8(weight) : undefined;
  const logits = int8 === undefined ? gemm(e, x, weight, { transposeB: true }) : int8Forward(e, x, int8); // [S, V]
  const chosen = e.emit("GatherElements", [logits, column], { attributes: { axis: { int: 1 } } })[0]; // [S, 1]
  const probabilities = softmax(e, logits);
  const top = binary(e, "Sub", reduceMax(e, logits, 1), e.emit("Log", [reduceMax(e, probabilities, 1)])[0]); // log Σ exp, [S, 1]
  const losses = binary(e, "Sub", top, chosen);
  if (!differentiable) return losses;
  const rows = e.emit("Gather", [weight, targets], { attributes: { axis: { int: 0 } } })[0]; // Wₜ [S, C]
  const gradients =
    int8 === undefined
      ? gemm(e, probabilities, weight, { addend: rows, addendScale: -1 })
      : int8Gradients(e, probabilities, int8, { wrong: binary(e, "Sub", e.float(1), e.emit("Exp", [e.emit("Neg", [losses])[0]])[0]), column, rows });
  return concat(e, [gradients, losses], 1);
}

/** What the gradients of a chunk are made from: 1 − pₜ [S, 1], targets as a column [S, 1], and Wₜ [S, C]. */
interface ChunkTargets {
  readonly wrong: string;
  readonly column: string;
  readonly rows: string;
}

/**
 * softmax(z)·W − Wₜ with probabilities in uint8. The target's share is −(1 − pₜ)·Wₜ in float32. Probabilities too small for a
 * code are many: together they point to where the unlikely tokens of any text point, so that their sum is taken along `tail`.
 */
function int8Gradients(e: Emitter, probabilities: string, weight: Int8Weight, targets: ChunkTargets): string {
  const { codes, scale, target } = probabilityCodes(e, probabilities, targets);
  const product = (codesOfWeight: string, scales: string) =>
    e.emit("MatMulIntegerToFloat", [codes, codesOfWeight, e.float(1), scales], { domain: "com.microsoft" })[0];
  const all = binary(e, "Mul", product(weight.part("backwardCodes"), weight.part("backwardScales")), scale); // [S, C]
  const counted = binary(e, "Mul", product(weight.part("ones"), e.float(1)), scale); // Σⱼ of codes, [S, 1]
  const lost = binary(e, "Sub", binary(e, "Add", targets.wrong, target), counted);
  const others = gemm(e, lost, weight.part("tail"), { addend: all });
  return binary(e, "Sub", others, binary(e, "Mul", targets.rows, binary(e, "Add", target, targets.wrong)));
}

/**
 * Probabilities [S, V] in uint8. A row's scale fits its largest probability beside the target's, which is at most 1 − pₜ, so
 * that a row that is nearly right keeps the others apart; the target's own code may then end at 255. `target` is what the
 * target's code stands for, both [S, 1].
 */
function probabilityCodes(
  e: Emitter,
  probabilities: string,
  { wrong, column }: Pick<ChunkTargets, "wrong" | "column">,
): { readonly codes: string; readonly scale: string; readonly target: string } {
  const largest = e.emit("Min", [reduceMax(e, probabilities, 1), wrong])[0];
  // Codes of a row add up to 1/scale at most, and their products with int8 stay below 2³¹.
  const scale = e.emit("Max", [binary(e, "Mul", largest, e.float(1 / 255)), e.float(127 / 2 ** 31)])[0];
  const codes = e.emit("QuantizeLinear", [probabilities, e.emit("Squeeze", [scale, e.ints([1])])[0]], { attributes: { axis: { int: 0 } } })[0];
  const ofTargets = e.emit("GatherElements", [codes, column], { attributes: { axis: { int: 1 } } })[0];
  return { codes, scale, target: binary(e, "Mul", toFloat(e, ofTargets), scale) };
}

/** What the codes of `int8Gradients` lose, in float32: the sum of the probabilities [S, 1], and of their rows of W [S, C]. */
const lostTailOp = defineOp<null>({
  name: "LostTail",
  infer: (types) => {
    const x = input("LostTail", types, 0, 2);
    input("LostTail", types, 1, 2);
    input("LostTail", types, 2, 1, "int64");
    return [float32(extent(x.shape, 0), 1), float32(...x.shape)];
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [x = "", weight = "", targets = ""] }) => {
    const column = e.column(targets);
    const logits = gemm(e, x, weight, { transposeB: true });
    const probabilities = softmax(e, logits);
    const ofTargets = e.emit("GatherElements", [probabilities, column], { attributes: { axis: { int: 1 } } })[0];
    const wrong = binary(e, "Sub", e.float(1), ofTargets);
    const { codes, scale, target } = probabilityCodes(e, probabilities, { wrong, column });
    const lost = binary(e, "Sub", probabilities, binary(e, "Mul", toFloat(e, codes), scale)); // [S, V]
    const ofTarget = binary(e, "Sub", ofTargets, target);
    const rows = e.emit("Gather", [weight, targets], { attributes: { axis: { int: 0 } } })[0];
    return [
      binary(e, "Sub", reduceSum(e, lost, [1], true), ofTarget),
      binary(e, "Sub", gemm(e, lost, weight), binary(e, "Mul", rows, ofTarget)),
    ];
  }),
});

const toFloat = (e: Emitter, codes: string) => e.emit("Cast", [codes], { attributes: { to: { int: 1 } } })[0];

/** x [S, C], W [V, C] in float32, targets int64 [S] → probability [S, 1] and rows of W [S, C] that codes of probabilities lose. */
export function lostTail(x: Tensor, weight: Tensor, targets: Tensor): readonly Tensor[] {
  return applyAll(lostTailOp, [x, weight, targets], null);
}

/** [S, 1] or [S, C + 1] → ℓ [S] and, where there are any, the gradients [S, C]. */
function separate(e: Emitter, packed: string, columns: number, { differentiable }: VocabularyLossAttributes): readonly string[] {
  const flat = (column: string) => e.emit("Squeeze", [column, e.ints([1])])[0];
  if (!differentiable) return [flat(packed)];
  const [gradients, losses = ""] = e.emit("Split", [packed, e.ints([columns, 1])], { outputs: 2, attributes: { axis: { int: 1 } } });
  return [flat(losses), gradients];
}

/** Chunks of a vocabulary's loss that hold about this many rows: enough for fast products, few enough for the memory of logits. */
const ROWS_PER_CHUNK = 256;
/** Numbers of rows are padded to multiples of this, which the number of chunks divides. */
const MOST_CHUNKS = 8;

/** How many chunks a batch of up to `rows` learned tokens is computed in: a power of two. */
export function lossChunks(rows: number): number {
  let chunks = 1;
  while (chunks < MOST_CHUNKS && rows / chunks > ROWS_PER_CHUNK) chunks *= 2;
  return chunks;
}

/** x [S, C], a frozen W [V, C], targets int64 [S] → the negative log-likelihood of each row's target [S], in nats. */
export function vocabularyLoss(x: Tensor, weight: Tensor, targets: Tensor, attributes: VocabularyLossAttributes): Tensor {
  const [losses] = applyAll(vocabularyLossOp, [x, weight, targets], attributes);
  if (losses === undefined) throw new Error("VocabularyLoss has no output");
  return losses;
}
