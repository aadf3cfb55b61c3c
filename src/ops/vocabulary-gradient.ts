import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, float32 } from "../graph/op.js";
import { binary, gemm, softmax, splitEvenly, unsqueeze } from "./engine-nodes.js";
import { capped, throughTanh, times } from "./soft-cap.js";
import { count, expectEqual, extent, input } from "./types.js";

interface VocabularyGradientAttributes {
  /** Parts in which the rows are computed, one after the other; it divides the number of rows. */
  readonly chunks: number;
  /** Logits z become c·tanh(z/c). */
  readonly softCap?: number | undefined;
}

// W̄ = Σᵢ ȳᵢ · (softmax(zᵢ) − eₜ)·xᵢᵀ,  z = x·Wᵀ, eₜ one at the target of row i; with a soft cap its slope multiplies both
//
// The logits are computed again, a chunk at a time: kept, they would be the largest values of a step.
const vocabularyGradientOp = defineOp<VocabularyGradientAttributes>({
  name: "VocabularyGradient",
  infer: (types) => {
    const x = input("VocabularyGradient", types, 0, 2);
    const weight = input("VocabularyGradient", types, 1, 2);
    for (const [index, words] of [
      [2, "targets"],
      [3, "ȳ"],
    ] as const) {
      const rows = input("VocabularyGradient", types, index, 1, index === 2 ? "int64" : "float32");
      expectEqual("VocabularyGradient", `rows of x and ${words}`, extent(x.shape, 0), extent(rows.shape, 0));
    }
    return [float32(...weight.shape)]; // [V, C]
  },
  gradient: "noGradient",
  lower: {
    cpu: (e, { inputs: [x = "", weight = "", targets = "", dy = ""], attributes }) => {
      const parts = [x, targets, dy].map((value) => splitEvenly(e, value, attributes.chunks, 0));
      return Array.from({ length: attributes.chunks }, (_, chunk) => parts.map((part) => part[chunk] ?? "")).reduce(
        (sum, [rows = "", wanted = "", slopes = ""]) =>
          chunkGradient(e, { x: rows, weight, column: unsqueeze(e, wanted, [1]), dy: slopes, sum }, attributes),
        "",
      );
    },
    // int64 cannot be split there: the rows are one chunk.
    webgpu: (e, { inputs: [x = "", weight = "", targets = "", dy = ""], attributes }) =>
      chunkGradient(e, { x, weight, column: e.column(targets), dy, sum: "" }, attributes),
  },
  cost: ([x = [], weight = []], { chunks, softCap }) => ({
    flops: 4 * count(x) * (weight[0] ?? 0),
    scratch: ((softCap === undefined ? 2 : 3) * (x[0] ?? 0) * (weight[0] ?? 0)) / chunks + (chunks === 1 ? 0 : count(weight)),
  }),
});

interface Chunk {
  readonly x: string;
  readonly weight: string;
  /** The targets as [S, 1]. */
  readonly column: string;
  readonly dy: string;
  /** What earlier chunks add up to; the empty string before the first. */
  readonly sum: string;
}

/** The sum and what rows x [S, C] add to it, [V, C]. */
function chunkGradient(e: Emitter, { x, weight, column, dy, sum }: Chunk, { softCap }: VocabularyGradientAttributes): string {
  const products = gemm(e, x, weight, { transposeB: true }); // [S, V]
  const { values, tanh } = capped(e, softCap === undefined ? products : times(e, products, 1 / softCap), softCap);
  const probabilities = softmax(e, values);
  const chosen = e.emit("GatherElements", [probabilities, column], { attributes: { axis: { int: 1 } } })[0]; // [S, 1]
  const missing = binary(e, "Sub", chosen, e.float(1));
  const slopes = e.emit("ScatterElements", [probabilities, column, missing], { attributes: { axis: { int: 1 } } })[0]; // [S, V]
  const scaled = binary(e, "Mul", x, unsqueeze(e, dy, [1])); // [S, C]
  return gemm(e, tanh === undefined ? slopes : throughTanh(e, slopes, tanh), scaled, { transposeA: true, addend: sum });
}

/** x [S, C], W [V, C], targets int64 [S], and the gradient ȳ [S] of each row's loss → the gradient of W [V, C]. */
export function vocabularyGradient(
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  dy: Tensor,
  { chunks, softCap }: VocabularyGradientAttributes,
): Tensor {
  return apply(vocabularyGradientOp, [x, weight, targets, dy], { chunks, softCap });
}
