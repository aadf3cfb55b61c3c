import type { Graph, Tensor } from "../graph/graph.js";
import { HEAD_WEIGHT, type ModelContext, type ModelGraph } from "../models/architecture.js";
import type { HeadUse } from "../models/parts/vocabulary-head.js";
import { add } from "../ops/add.js";
import { gatherRows } from "../ops/gather-rows.js";
import { linear } from "../ops/linear.js";
import { matrixProduct } from "../ops/matrix-product.js";
import { mul } from "../ops/mul.js";
import { oneHot } from "../ops/one-hot.js";
import { tableRows } from "../ops/table-rows.js";
import { type AttachedAdapter, adapterInputName } from "./attach.js";
import type { AdapterLayout, LayoutEntry, WholeTensor } from "./layout.js";

/** The weights of a model in a graph: those that are trained whole are fed, the others frozen. */
export interface ModelWeights {
  /** Input name → its place in the vector of trainables, for all that is trained whole, in the order of the vector. */
  readonly inputs: ReadonlyMap<string, LayoutEntry>;
  /** The weight that is read under this name. */
  weight(name: string, shape: readonly number[]): Tensor;
  /** The rows of ids int64 [N] in a table of embeddings, with what an adapter puts beside them. */
  embed(ids: Tensor, adapter: AttachedAdapter | undefined): ModelContext["embed"];
  /** What turns states x [N, C] into logits in a language model, with what an adapter puts beside it. */
  head(x: Tensor, adapter: AttachedAdapter | undefined): HeadUse;
  /** What is trained whole under this name; undefined where that is nothing. */
  trained(name: string): Tensor | undefined;
}

/** The weights of a model as a graph reads them beside an adapter, or without one. */
export function modelWeights(
  graph: Graph,
  layout: AdapterLayout | undefined,
  { head, dimensions }: Pick<ModelGraph, "head" | "dimensions">,
): ModelWeights {
  const modules = layout?.modules ?? [];
  const byPlace = new Map(modules.flatMap((entry) => (entry.places ?? [entry.name]).map((place) => [place, entry] as const)));
  const fed = (entry: LayoutEntry) => graph.input(adapterInputName(entry), { dtype: "float32", shape: entry.shape });
  const trained = (name: string) => {
    const entry = byPlace.get(name);
    return entry && entry.rows === undefined ? fed(entry) : undefined;
  };
  const weight = (name: string, shape: readonly number[]) => trained(name) ?? graph.weight(name, shape);
  /** The rows of a table that are trained, as what they add to the frozen ones. */
  const trainedRows = (place: string, table: Tensor) => {
    const entry = byPlace.get(place);
    return entry?.rows && changedRows(graph, { ...entry, rows: entry.rows }, fed(entry), table);
  };
  return {
    inputs: new Map(modules.map((entry) => [adapterInputName(entry), entry])),
    weight,
    embed: (ids, adapter) => (name, shape) => {
      const table = weight(name, shape);
      const rows = (given: Tensor) => gatherRows(table, given); // [N, C]
      const own = trainedRows(name, table);
      if (own === undefined) return adapter?.embed(name, ids, rows) ?? rows(ids);
      return add(rows(ids), matrixProduct(oneHot(gatherRows(own.numbers, ids), own.count), own.change));
    },
    head: (x, adapter) => {
      if (head === undefined) throw new Error("the model predicts no token, and has no head for it");
      // Where it is the table of embeddings, training that alone leaves the head as it was, as in PEFT.
      const matrix = trained(HEAD_WEIGHT) ?? graph.weight(head, [dimensions.vocabulary, dimensions.hidden]);
      const own = trainedRows(HEAD_WEIGHT, matrix);
      if (own === undefined) return { weight: matrix, beside: adapter?.besideHead(x) };
      return { weight: matrix, beside: { factors: linear(x, own.change), table: oneHot(own.numbers, own.count) } };
    },
    trained,
  };
}

/**
 * Rows of a table W [V, C] that are trained, D [n, C], as PEFT's trainable tokens: a matrix of rank n beside W, E·(D − Wₜ) with E [V, n] one-hot,
 * so that W stays as it is stored. `numbers` [V, 1] say which of them each row is, −1 for none.
 */
function changedRows(graph: Graph, { rows }: WholeTensor & { readonly rows: readonly number[] }, values: Tensor, table: Tensor) {
  const numbers = new Float32Array(Number(table.shape[0])).fill(-1);
  for (const [index, row] of rows.entries()) numbers[row] = index;
  const before = mul(tableRows(table, rows), graph.scalar(-1)); // [n, C]
  return { numbers: graph.constant(numbers, [numbers.length, 1]), count: rows.length, change: add(values, before) };
}
