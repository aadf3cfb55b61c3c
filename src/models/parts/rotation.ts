import type { Graph, Tensor } from "../../graph/graph.js";
import { rotaryEmbedding } from "../../ops/rotary-embedding.js";
import type { ModelContext } from "../architecture.js";
import { type Rotary, rotaryTables } from "./rotary-tables.js";
import { bySequence } from "./rows.js";

/** Turns the heads of queries or keys by the positions of their tokens: [N, H·D] → [B, T, H·D]. */
export type Rotation = (rows: Tensor, context: ModelContext) => Tensor;

/** Rotary embeddings of the first `size` values of each head, by default all; the tables are written once into each graph. */
export function rotation(rotary: Rotary, headSize: number, size = headSize): Rotation {
  const written = new WeakMap<Graph, { readonly cos: Tensor; readonly sin: Tensor }>();
  const write = ({ graph, maxPositions }: ModelContext) => {
    const tables = rotaryTables(rotary, size, maxPositions);
    const shape = [tables.cos.length / (size / 2), size / 2];
    const constants = { cos: graph.constant(tables.cos, shape), sin: graph.constant(tables.sin, shape) };
    written.set(graph, constants);
    return constants;
  };
  return (rows, context) => {
    const { cos, sin } = written.get(context.graph) ?? write(context);
    return rotaryEmbedding(bySequence(rows), context.positions, cos, sin, headSize);
  };
}

/** No positions at all: what comes before is told by the mask alone (Kazemnejad et al. 2023). */
export const noRotation: Rotation = bySequence;
