import type { Batch } from "../../src/data/batch.js";
import { type AdapterLayout, viewOf } from "../../src/lora/layout.js";
import type { LanguageModelGraph } from "../../src/models/architecture.js";
import { throughWeight } from "../../src/models/parts/layer-bias.js";
import { withBeside } from "../../src/models/parts/vocabulary-head.js";
import type { HostData } from "../../src/runtime/engine.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { type CompileOptions, Program } from "../../src/runtime/program.js";
import { batchDimensions, batchFeeds, frozenFeeds } from "../../src/training/gradient-program.js";
import { buildSequenceGraph, type SequenceGraphShape } from "../../src/training/sequence-graph.js";

/** Logits [B·T, V] of whole sequences through the program that trains, with an adapter or without. */
export async function sequenceLogits(
  model: LanguageModelGraph,
  batch: Batch,
  compile: CompileOptions,
  adapter?: { readonly layout: AdapterLayout; readonly adapter: Float32Array; readonly frozen?: Float32Array | undefined },
  regularise?: SequenceGraphShape["regularise"],
): Promise<Float32Array> {
  const built = buildSequenceGraph({ model, layout: adapter?.layout, maxTokens: batch.tokens, regularise });
  const head = built.head(built.hidden);
  built.graph.output("logits", withBeside(throughWeight(built.hidden, head.weight), head));
  const program = await Program.compile(built.graph, nodeEngine, compile);
  const feeds: Record<string, HostData> = batchFeeds(batch, model);
  for (const [name, entry] of built.trainables) feeds[name] = viewOf(adapter?.adapter ?? new Float32Array(), entry);
  Object.assign(feeds, frozenFeeds(built.adapter?.frozenInputs ?? new Map(), adapter?.frozen));
  const { logits } = await program.run(feeds, batchDimensions(batch));
  await program.release();
  const cap = model.logitSoftCap;
  const values = Float32Array.from(logits?.data ?? [], Number);
  return cap === undefined ? values : values.map((value) => cap * Math.tanh(value / cap));
}
