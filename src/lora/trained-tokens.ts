import { HEAD_WEIGHT, type ModelGraph } from "../models/architecture.js";
import type { Checkpoint } from "../weights/checkpoint.js";
import type { WholeTensor } from "./layout.js";
import { moduleOf, tiedPlaces, weightAt } from "./whole-tensors.js";

// Rows of the table of embeddings that are trained, as PEFT's `trainable_token_indices`: those of some tokens, such as new ones. A head
// that is tied to the table sees them too.

/** Behind the table's module, as PEFT writes it. */
const DELTA = "token_adapter.trainable_tokens_delta";

/** What finding the table asks of a model. */
type TableModel = Pick<ModelGraph, "embedding" | "head" | "weights">;

/** The name of the rows of a table in PEFT's file. */
const nameOf = (table: string): string => `${moduleOf(table)}.${DELTA}`;

/** Whether a tensor of PEFT's file holds such rows: the new ones themselves, though PEFT calls them a delta. */
export const holdsTokens = (tensor: string): boolean => tensor.endsWith(`.${DELTA}`);

/** The weight whose rows such a tensor holds. */
export const tableOf = (tensor: string): string => `${tensor.slice(0, -DELTA.length)}weight`;

/** The rows of these tokens, as they are laid out. */
export function tokenRows(model: TableModel, rows: readonly number[]): WholeTensor {
  const { embedding, weights } = model;
  const [table] = tiedPlaces(model);
  const columns = weights.get(embedding)?.[1] ?? 0;
  const places = table === embedding ? [embedding, HEAD_WEIGHT] : [embedding];
  return { name: nameOf(embedding), shape: [rows.length, columns], rows, places };
}

/** What a weight of the checkpoint that is trained whole, or by some of its rows, starts as. */
export async function startOfWhole(
  { checkpoint, model }: { readonly checkpoint: Pick<Checkpoint, "readFloat32">; readonly model: Pick<ModelGraph, "head"> },
  { name, shape, rows }: WholeTensor,
): Promise<Float32Array> {
  const values = await checkpoint.readFloat32(rows === undefined ? weightAt(name, model) : tableOf(name));
  return rows === undefined ? values : pickRows(values, shape[1] ?? 0, rows);
}

/** Some rows of a table [V, C], [n, C]. */
function pickRows(table: Float32Array, columns: number, rows: readonly number[]): Float32Array<ArrayBuffer> {
  const picked = new Float32Array(rows.length * columns);
  for (const [index, row] of rows.entries()) picked.set(table.subarray(row * columns, (row + 1) * columns), index * columns);
  return picked;
}

/** A table [V, C] with some rows replaced, in a new array. */
export function replaceRows(table: Float32Array, values: Float32Array, rows: readonly number[]): Float32Array<ArrayBuffer> {
  const replaced = Float32Array.from(table);
  const columns = values.length / rows.length;
  for (const [index, row] of rows.entries()) replaced.set(values.subarray(index * columns, (index + 1) * columns), row * columns);
  return replaced;
}
