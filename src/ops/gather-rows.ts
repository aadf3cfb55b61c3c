import { product } from "../graph/dimension.js";
import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, everywhere, float32, type TensorType } from "../graph/op.js";
import { reshapeLike, reshapeTo } from "./engine-nodes.js";
import { rowsOfTable } from "./table.js";
import { expectEqual, extent, input } from "./types.js";

// yᵢ = tableₖ, k = indexᵢ;  the gradient of the table adds each ȳᵢ to row k
const gatherRowsOp = defineOp<null>({
  name: "GatherRows",
  infer: (types) => {
    const table = input("GatherRows", types, 0, 2);
    const index = input("GatherRows", types, 1, undefined, "int64");
    return [float32(product(...index.shape), extent(table.shape, 1))]; // [N, C]
  },
  gradient: ({ inputs: [table, index], dys: [dy], wants }) =>
    table !== undefined && index !== undefined && dy !== undefined && wants[0] ? [scatterRows(dy, index, table)] : [],
  lower: everywhere((e, { inputs: [table = "", index = ""], types: [, indexType], outputs: [output] }) => {
    const rows = rowsOfTable(e, table, index);
    return indexType?.shape.length === 1 ? rows : reshapeLike(e, rows, output?.shape ?? []);
  }),
  readsRows: true,
});

// y = 0 [rows, C], then y_{indexᵢ} += dyᵢ
const scatterRowsOp = defineOp<null>({
  name: "ScatterRows",
  infer: (types) => {
    const updates = input("ScatterRows", types, 0, 2);
    const index = input("ScatterRows", types, 1, undefined, "int64");
    const like = input("ScatterRows", types, 2, 2);
    expectEqual("ScatterRows", "counts of updates and indexes", extent(updates.shape, 0), product(...index.shape));
    return [float32(...like.shape)];
  },
  gradient: "noGradient",
  lower: {
    cpu: (e, { inputs: [updates = "", index = ""], types: [updatesType], outputs: [output] }) => {
      // ScatterElements adds in order: ScatterND may add equal rows from two threads at once.
      const indexes = e.emit("Expand", [reshapeTo(e, index, [-1, 1]), e.shape(updatesType?.shape ?? [])])[0];
      const attributes = { axis: { int: 0 }, reduction: { string: "add" } };
      return e.emit("ScatterElements", [zeros(e, output), indexes, updates], { attributes })[0];
    },
    // Here ScatterND adds atomically, and int64 cannot be expanded.
    webgpu: (e, { inputs: [updates = "", index = ""], types: [updatesType, indexType], outputs: [output] }) => {
      const shape = [...(indexType?.shape ?? []), extent(updatesType?.shape ?? [], 1)]; // [.., C]
      const rows = shape.length === 2 ? updates : reshapeLike(e, updates, shape);
      return e.emit("ScatterND", [zeros(e, output), e.column(index), rows], { attributes: { reduction: { string: "add" } } })[0];
    },
  },
});

function zeros(e: Emitter, like: TensorType | undefined): string {
  return e.emit("Expand", [e.float(0), e.shape(like?.shape ?? [])])[0];
}

/** table [V, C], index int64 [N], or [B, T] with N = B·T → rows [N, C]. */
export const gatherRows = (table: Tensor, index: Tensor): Tensor => apply(gatherRowsOp, [table, index], null);

const scatterRows = (updates: Tensor, index: Tensor, like: Tensor): Tensor => apply(scatterRowsOp, [updates, index, like], null);
