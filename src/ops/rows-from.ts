import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { concat } from "./engine-nodes.js";
import { extent, fixed, input } from "./types.js";

interface RowsFromAttributes {
  readonly start: number;
}

// y = the rows of x from `start` on;  x̄ = [0; ȳ]
const rowsFromOp = defineOp<RowsFromAttributes>({
  name: "RowsFrom",
  infer: (types, { start }) => {
    const x = input("RowsFrom", types, 0, 2);
    const rows = fixed("RowsFrom", extent(x.shape, 0));
    if (start < 0 || start >= rows) throw new Error(`RowsFrom: of ${rows} rows, none stands at ${start}`);
    return [float32(rows - start, extent(x.shape, 1))];
  },
  gradient: ({ dys: [dy], attributes }) => (dy === undefined ? [] : [apply(rowsFromGradientOp, [dy], attributes)]),
  lower: everywhere((e, { inputs: [x = ""], attributes: { start }, types: [type] }) => {
    const end = fixed("RowsFrom", extent(type?.shape ?? [], 0));
    return e.emit("Slice", [x, e.ints([start]), e.ints([end]), e.ints([0])])[0];
  }),
  isCheap: true,
});

const rowsFromGradientOp = defineOp<RowsFromAttributes>({
  name: "RowsFromGradient",
  infer: (types, { start }) => {
    const dy = input("RowsFromGradient", types, 0, 2);
    return [float32(start + fixed("RowsFromGradient", extent(dy.shape, 0)), extent(dy.shape, 1))];
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [dy = ""], attributes: { start }, types: [type] }) => {
    const columns = fixed("RowsFromGradient", extent(type?.shape ?? [], 1));
    return concat(e, [e.float(new Float32Array(start * columns), [start, columns]), dy], 0);
  }),
});

/** The rows of x [R, C] from `start` on, [R − start, C]. */
export const rowsFrom = (x: Tensor, start: number): Tensor => (start === 0 ? x : apply(rowsFromOp, [x], { start }));
