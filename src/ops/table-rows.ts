import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { rowsOfTable } from "./table.js";
import { extent, input } from "./types.js";

// yᵢ = Wₖ, k the i-th of rows that are known when the graph is written
const tableRowsOp = defineOp<{ readonly rows: readonly number[] }>({
  name: "TableRows",
  infer: (types, { rows }) => [float32(rows.length, extent(input("TableRows", types, 0, 2).shape, 1))], // [n, C]
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [table = ""], attributes: { rows } }) => rowsOfTable(e, table, e.ints(rows))),
  readsRows: true,
});

/** Some rows of a frozen table W [V, C], [n, C]. */
export const tableRows = (table: Tensor, rows: readonly number[]): Tensor => apply(tableRowsOp, [table], { rows });
