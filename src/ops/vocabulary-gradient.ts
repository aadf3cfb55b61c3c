import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, float32, type TensorType } from "../graph/op.js";
import { binary, gemm, softmax, splitEvenly, unsqueeze } from "./engine-nodes.js";
import { throughTanh } from "./soft-cap.js";
import { count, expectEqual, extent, fixed, input } from "./types.js";
import { type LogitInputs, vocabularyLogits } from "./vocabulary-logits.js";

interface VocabularyGradientAttributes {
  /** Which matrix the gradient is of: W, or the P beside it. */
  readonly of: "weight" | "table";
  /** Parts in which the rows are computed, one after the other; it divides the number of rows. */
  readonly chunks: number;
  /** Logits z become c·tanh(z/c). */
  readonly softCap?: number | undefined;
}

// W̄ = Σᵢ ȳᵢ · (softmax(zᵢ) − eₜ)·xᵢᵀ and P̄ the same with uᵢ,  z = x·Wᵀ + u·Pᵀ, eₜ one at the target of row i; with a soft cap its slope
// multiplies both
//
// The logits are computed again, a chunk at a time: kept, they would be the largest values of a step.
const vocabularyGradientOp = defineOp<VocabularyGradientAttributes>({
  name: "VocabularyGradient",
  infer: (types, { of }) => {
    const x = input("VocabularyGradient", types, 0, 2);
    const weight = input("VocabularyGradient", types, 1, 2);
    for (const [index, words] of [
      [2, "targets"],
      [3, "ȳ"],
    ] as const) {
      const rows = input("VocabularyGradient", types, index, 1, index === 2 ? "int64" : "float32");
      expectEqual("VocabularyGradient", `rows of x and ${words}`, extent(x.shape, 0), extent(rows.shape, 0));
    }
    return [float32(...(of === "weight" ? weight : input("VocabularyGradient", types, 5, 2)).shape)]; // [V, C] or [V, R]
  },
  gradient: "noGradient",
  lower: {
    cpu: (e, { inputs: [x = "", weight = "", targets = "", dy = "", factors = "", table = ""], attributes, types }) => {
      const { chunks } = attributes;
      const parts = [x, targets, dy, factors].map((value) => (value === "" ? [] : splitEvenly(e, value, chunks, 0)));
      const shape = shapeOf(types);
      return Array.from({ length: chunks }, (_, chunk) => parts.map((part) => part[chunk] ?? "")).reduce(
        (sum, [rows = "", wanted = "", slopes = "", lowRank = ""]) => {
          const inputs = { x: rows, weight, shape, factors: lowRank, table };
          return chunkGradient(e, { ...inputs, column: unsqueeze(e, wanted, [1]), dy: slopes, sum }, attributes);
        },
        "",
      );
    },
    // int64 cannot be split there: the rows are one chunk.
    webgpu: (e, { inputs: [x = "", weight = "", targets = "", dy = "", factors = "", table = ""], attributes, types }) =>
      chunkGradient(e, { x, weight, shape: shapeOf(types), factors, table, column: e.column(targets), dy, sum: "" }, attributes),
  },
  cost: ([x = [], weight = [], , , factors = [], table = []], { of, chunks, softCap }) => {
    const lowRank = factors.length === 0 ? 0 : count(factors);
    return {
      flops: 2 * (count(x) + lowRank + (of === "weight" ? count(x) : lowRank)) * (weight[0] ?? 0),
      scratch:
        ((softCap === undefined ? 2 : 3) * (x[0] ?? 0) * (weight[0] ?? 0)) / chunks +
        (chunks === 1 ? 0 : count(of === "weight" ? weight : table)),
    };
  },
});

function shapeOf([, weight]: readonly (TensorType | undefined)[]): readonly [number, number] {
  const size = (axis: number) => fixed("VocabularyGradient", extent(weight?.shape ?? [], axis));
  return [size(0), size(1)];
}

interface Chunk extends LogitInputs {
  /** The targets as [S, 1]. */
  readonly column: string;
  readonly dy: string;
  /** What earlier chunks add up to; the empty string before the first. */
  readonly sum: string;
}

/** The sum and what rows x [S, C], or their u [S, R], add to it, [V, C] or [V, R]. */
function chunkGradient(e: Emitter, chunk: Chunk, { of, softCap }: VocabularyGradientAttributes): string {
  const { x, factors, column, dy, sum } = chunk;
  const { values, tanh } = vocabularyLogits(e, chunk, softCap); // [S, V]
  const probabilities = softmax(e, values);
  const chosen = e.emit("GatherElements", [probabilities, column], { attributes: { axis: { int: 1 } } })[0]; // [S, 1]
  const missing = binary(e, "Sub", chosen, e.float(1));
  const slopes = e.emit("ScatterElements", [probabilities, column, missing], { attributes: { axis: { int: 1 } } })[0]; // [S, V]
  const scaled = binary(e, "Mul", of === "weight" ? x : factors, unsqueeze(e, dy, [1])); // [S, C] or [S, R]
  return gemm(e, tanh === undefined ? slopes : throughTanh(e, slopes, tanh), scaled, { transposeA: true, addend: sum });
}

/** What the loss of a vocabulary reads, and the gradient ȳ [S] of each row's loss. */
interface VocabularyRows {
  readonly x: Tensor; // [S, C]
  readonly weight: Tensor; // [V, C]
  readonly targets: Tensor; // int64 [S]
  readonly dy: Tensor; // [S]
  readonly factors: Tensor | undefined; // u [S, R]
  readonly table: Tensor | undefined; // P [V, R]
}

/** The gradient of W [V, C], or of the P [V, R] beside it. */
export function vocabularyGradient(
  { x, weight, targets, dy, factors, table }: VocabularyRows,
  { of, chunks, softCap }: VocabularyGradientAttributes,
): Tensor {
  return apply(vocabularyGradientOp, [x, weight, targets, dy, factors, table], { of, chunks, softCap });
}
