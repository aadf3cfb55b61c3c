import type { Emitter } from "../graph/op.js";
import { codedRows } from "./answering.js";
import { concat, gemm } from "./engine-nodes.js";

// Products and rows of the largest weights of a model, its embedding table and its head, W [V, C]. Stored in blocks, such
// a weight never becomes float32 as a whole where that would take much memory.

/** A weight in blocks that would take more bytes than this in float32 is brought there some rows at a time. */
export const SLICE_BYTES = 2 ** 28;

/** Rows Wᵢ of an index int64 [N] → [N, C]. Only these become float32 where the table is stored otherwise. */
export function rowsOfTable(e: Emitter, table: string, index: string): string {
  const coded = e.coded(table);
  if (coded !== undefined) return codedRows(e, coded, index);
  const gather = (from: string) => e.emit("Gather", [from, index], { attributes: { axis: { int: 0 } } })[0];
  const bfloat16 = e.bfloat16(table);
  if (bfloat16 !== undefined) return e.emit("Cast", [gather(bfloat16)], { attributes: { to: { int: 1 } } })[0];
  return e.blocks(table)?.gather(index) ?? gather(table);
}

/** x [N, C] · Wᵀ → [N, V]. */
export function timesTableTransposed(
  e: Emitter,
  x: string,
  table: string,
  shape: readonly [number, number],
  sliceBytes = SLICE_BYTES,
): string {
  const products = slicesOf(e, table, shape, sliceBytes).map(({ rows }) => gemm(e, x, rows(), { transposeB: true }));
  return concat(e, products, 1);
}

/** p [N, V] · W + scale·addend → [N, C]. */
export function timesTable(
  e: Emitter,
  p: string,
  table: string,
  shape: readonly [number, number],
  { addend, addendScale }: { readonly addend: string; readonly addendScale: number },
  sliceBytes = SLICE_BYTES,
): string {
  const slices = slicesOf(e, table, shape, sliceBytes);
  const parts = slices.length === 1 ? [p] : columnsOf(e, p, slices);
  return slices.reduce(
    (sum, { rows }, index) => gemm(e, parts[index] ?? "", rows(), { addend: sum, addendScale: index === 0 ? addendScale : 1 }),
    addend,
  );
}

interface Slice {
  readonly count: number;
  /** Its rows in float32, for one reader. */
  readonly rows: () => string;
}

function slicesOf(e: Emitter, table: string, [vocabulary, columns]: readonly [number, number], sliceBytes: number): readonly Slice[] {
  const blocks = e.blocks(table);
  const slices = Math.ceil((4 * vocabulary * columns) / sliceBytes);
  if (blocks === undefined || slices === 1) return [{ count: vocabulary, rows: () => table }];
  const size = Math.ceil(vocabulary / slices);
  return Array.from({ length: Math.ceil(vocabulary / size) }, (_, index) => {
    const count = Math.min(size, vocabulary - index * size);
    return { count, rows: () => blocks.rows(index * size, count) };
  });
}

function columnsOf(e: Emitter, p: string, slices: readonly Slice[]): readonly string[] {
  const counts = e.ints(slices.map(({ count }) => count));
  return e.emit("Split", [p, counts], { outputs: slices.length, attributes: { axis: { int: 1 } } });
}
