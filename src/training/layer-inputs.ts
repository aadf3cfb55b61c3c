import { buildBatch } from "../data/batch.js";
import type { Tensor } from "../graph/graph.js";
import type { LanguageModelGraph } from "../models/architecture.js";
import { lostTail } from "../ops/vocabulary-loss.js";
import type { Engine } from "../runtime/engine.js";
import { type CompileOptions, Program } from "../runtime/program.js";
import { batchDimensions, batchFeeds } from "./gradient-program.js";
import { buildSequenceGraph } from "./sequence-graph.js";

/** What rounding a model to 8 bits is guided by. */
export interface LayerInputs {
  /** What each group of layers reads [T, in], by the name of its first layer; and by that of the head's weight, what becomes logits. */
  readonly inputs: ReadonlyMap<string, Float32Array>;
  /** The mean row of the head under probabilities that are too small for 8 bits [C]. */
  readonly tail: Float32Array<ArrayBuffer>;
}

/**
 * Runs a model in float32 over a text and returns what its frozen layers read.
 *
 * @param ids token ids of the text [T]
 */
export async function layerInputs(
  engine: Engine,
  model: LanguageModelGraph,
  compile: CompileOptions,
  ids: readonly number[],
): Promise<LayerInputs> {
  const batch = buildBatch([{ ids: Int32Array.from(ids), supervised: new Uint8Array(ids.length).fill(1) }]);
  const inputs = new Map<string, Tensor>();
  const { graph, supervised, head, targets } = buildSequenceGraph({
    model,
    maxTokens: batch.tokens,
    onLayerInput: (x, [first]) => inputs.set(first?.name ?? "", x),
  });
  inputs.set(model.head, supervised);
  for (const [name, x] of inputs) graph.output(name, x);
  const [mass, rows] = lostTail(supervised, head, targets);
  if (mass === undefined || rows === undefined) throw new Error("LostTail has two outputs");
  graph.output("lost mass", mass);
  graph.output("lost rows", rows);
  const program = await Program.compile(graph, engine, compile);
  try {
    const outputs = await program.run(batchFeeds(batch), batchDimensions(batch));
    const values = (name: string, places: number, count: number): Float32Array => {
      const data = outputs[name]?.data;
      if (!(data instanceof Float32Array)) throw new Error(`the program returned no ${name}`);
      return data.subarray(0, (data.length / places) * count); // padding belongs to no text
    };
    const places = batch.targets.length;
    const read = [...inputs.keys()].map((name) =>
      name === model.head
        ? ([name, values(name, places, batch.supervisedCount)] as const)
        : ([name, values(name, batch.tokens, ids.length)] as const),
    );
    const tail = fitThroughOrigin(values("lost mass", places, batch.supervisedCount), values("lost rows", places, batch.supervisedCount));
    return { inputs: new Map(read), tail };
  } finally {
    await program.release();
  }
}

/** The row μ for which mass·μ comes closest to the rows, by least squares: Σ mᵢ·rᵢ / Σ mᵢ². */
function fitThroughOrigin(mass: Float32Array, rows: Float32Array): Float32Array<ArrayBuffer> {
  const columns = rows.length / mass.length;
  const sums = new Float64Array(columns);
  let power = 0;
  for (const [row, weight] of mass.entries()) {
    power += weight * weight;
    for (let column = 0; column < columns; column++) sums[column] = (sums[column] ?? 0) + weight * (rows[row * columns + column] ?? 0);
  }
  return Float32Array.from(sums, (sum) => (power === 0 ? 0 : sum / power));
}
