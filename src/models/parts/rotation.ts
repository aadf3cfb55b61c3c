import type { Tensor } from "../../graph/graph.js";
import { rotaryEmbedding } from "../../ops/rotary-embedding.js";
import type { ModelContext } from "../architecture.js";
import { type Rotary, rotaryTables } from "./rotary-tables.js";
import { bySequence } from "./rows.js";

/** Turns the heads of queries or keys by the positions of their tokens: [N, H·D] → [B, T, H·D]. Its tables are written once. */
export function rotation({ graph, positions, maxPositions }: ModelContext, rotary: Rotary, headSize: number): (rows: Tensor) => Tensor {
  const tables = rotaryTables(rotary, headSize, maxPositions);
  const cos = graph.constant(tables.cos, [maxPositions, headSize / 2]);
  const sin = graph.constant(tables.sin, [maxPositions, headSize / 2]);
  return (rows) => rotaryEmbedding(bySequence(rows), positions, cos, sin);
}
