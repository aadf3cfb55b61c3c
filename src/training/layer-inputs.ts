import { buildBatch } from "../data/batch.js";
import type { Tensor } from "../graph/graph.js";
import type { ModelGraph } from "../models/architecture.js";
import type { Engine } from "../runtime/engine.js";
import { type CompileOptions, Program } from "../runtime/program.js";
import { batchDimensions, batchFeeds } from "./gradient-program.js";
import { hiddenStates } from "./objectives/hidden-states.js";
import { buildSequenceGraph } from "./sequence-graph.js";

/**
 * What the frozen layers of a model read while it runs over a text, in float32: for each group of layers that share an input,
 * by the name of its first layer, that input [T, in], and by the name of the head's weight what becomes logits [T, C].
 *
 * @param ids token ids of the text [T]
 */
export async function layerInputs(
  engine: Engine,
  model: ModelGraph,
  compile: CompileOptions,
  ids: readonly number[],
): Promise<ReadonlyMap<string, Float32Array>> {
  const target = ids.length; // a token behind the text: what is before a target is read
  const batch = buildBatch([
    { ids: Int32Array.of(...ids, 0), supervised: Uint8Array.from({ length: target + 1 }, (_, t) => Number(t === target)) },
  ]);
  const inputs = new Map<string, Tensor>();
  const { graph, hidden } = buildSequenceGraph({
    model,
    objective: hiddenStates,
    maxTokens: batch.tokens,
    onLayerInput: (x, [first]) => inputs.set(first?.name ?? "", x),
  });
  if (model.head !== undefined) inputs.set(model.head, hidden);
  for (const [name, x] of inputs) graph.output(name, x);
  const program = await Program.compile(graph, engine, compile);
  try {
    const outputs = await program.run(batchFeeds(batch, model), batchDimensions(batch));
    return new Map(
      [...inputs.keys()].map((name) => {
        const data = outputs[name]?.data;
        if (!(data instanceof Float32Array)) throw new Error(`the program returned no ${name}`);
        return [name, data.subarray(0, (data.length / batch.tokens) * ids.length)]; // padding belongs to no text
      }),
    );
  } finally {
    await program.release();
  }
}
