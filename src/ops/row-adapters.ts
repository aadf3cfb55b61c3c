import { applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, everywhere, float32, type LoweringArguments } from "../graph/op.js";
import { binary, gemm, reshapeLike, splitEvenly, transpose } from "./engine-nodes.js";
import { expectEqual, extent, input } from "./types.js";

// Rows [N, in] in G equal parts of M neighbours, N = G·M, each part with a stack of adapters of its own, R ranks in all, for L layers that
// read these rows:
//
//   t = (x_g · A_gᵀ) ⊙ mask_g        [M, L·R]: of each row, what its own adapters make of it
//   y = c + t_l · B_gl               [M, out_l] for each layer l
//
// With G = 1 it is one product with every adapter of the batch, which reads each once; with as many parts as rows have adapters, each row
// is multiplied by its own alone.
const rowAdaptersOp = defineOp<null>({
  name: "RowAdapters",
  infer: (types) => {
    const axes = types[2] === undefined ? 2 : 3;
    const x = input("RowAdapters", types, 0, 2);
    const a = input("RowAdapters", types, 1, axes);
    expectEqual("RowAdapters", "columns of x and of A", extent(x.shape, 1), extent(a.shape, -1));
    if (types[2] !== undefined)
      expectEqual(
        "RowAdapters",
        "rows of A and columns of the mask",
        extent(a.shape, 1),
        extent(input("RowAdapters", types, 2, 3).shape, 2),
      );
    return pairsOf(types).map((_, layer) => {
      const outputs = extent(input("RowAdapters", types, 3 + 2 * layer, axes).shape, -1);
      expectEqual("RowAdapters", "columns of B and of the addend", outputs, extent(input("RowAdapters", types, 4 + 2 * layer, 2).shape, 1));
      return float32(extent(x.shape, 0), outputs);
    });
  },
  gradient: "noGradient",
  lower: everywhere((e, node) => (node.inputs[2] === "" ? oneRow(e, node) : manyRows(e, node))),
});

/** B and addend of each layer among the inputs. */
function pairsOf<T>([, , , ...layers]: readonly T[]): readonly (readonly [b: T, addend: T])[] {
  return layers.flatMap((b, index) => (index % 2 === 0 ? [[b, layers[index + 1] as T] as const] : []));
}

function manyRows(e: Emitter, { inputs, types: [x, , mask], outputs }: LoweringArguments<null>): readonly string[] {
  const [rows = "", a = "", owners = ""] = inputs;
  const parts = [...(mask?.shape ?? []).slice(0, 2), extent(x?.shape ?? [], 1)]; // [G, M, in]
  const own = binary(e, "Mul", timesTransposed(e, reshapeLike(e, rows, parts), a), owners); // [G, M, L·R]
  const layers = pairsOf(inputs);
  const ofLayers = splitEvenly(e, own, layers.length, 2);
  return layers.map(([b, addend], layer) => {
    const change = e.emit("MatMul", [ofLayers[layer] ?? "", b])[0]; // [G, M, out]
    return binary(e, "Add", reshapeLike(e, change, outputs[layer]?.shape ?? []), addend);
  });
}

/** A single row needs no mask: it is fed its own adapter alone. */
function oneRow(e: Emitter, { inputs }: LoweringArguments<null>): readonly string[] {
  const [x = "", a = ""] = inputs;
  const layers = pairsOf(inputs);
  const ofLayers = splitEvenly(e, gemm(e, x, a, { transposeB: true }), layers.length, 1); // [1, R] each
  return layers.map(([b, addend], layer) => gemm(e, ofLayers[layer] ?? "", b, { addend }));
}

/** a [G, M, K], b [G, N, K] → a·bᵀ [G, M, N]. */
function timesTransposed(e: Emitter, a: string, b: string): string {
  if (e.target === "webgpu") return e.emit("MatMul", [a, transpose(e, b, [0, 2, 1])])[0];
  return e.emit("FusedMatMul", [a, b], { domain: "com.microsoft", attributes: { transB: { int: 1 } } })[0];
}

export interface RowAdaptersInputs {
  readonly x: Tensor; // [N, in]
  /** The A of all layers, one below the other, R rows each. */
  readonly a: Tensor; // [G, L·R, in]; [L·R, in] of a single row
  /** One where a rank belongs to a row's adapter, else zero; none for a single row. */
  readonly mask: Tensor | undefined; // [G, M, L·R]
  readonly layers: readonly {
    /** Bᵀ, with the adapter's scale in it. */
    readonly b: Tensor; // [G, R, out]; [R, out] of a single row
    readonly addend: Tensor; // [N, out]
  }[];
}

/** What layers that read one input give when each row has its own adapters beside them, [N, out] each. */
export const rowAdapters = ({ x, a, mask, layers }: RowAdaptersInputs): readonly Tensor[] =>
  applyAll(rowAdaptersOp, [x, a, mask, ...layers.flatMap(({ b, addend }) => [b, addend])], null);
