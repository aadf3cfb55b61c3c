import { expect, it } from "vitest";
import { Graph, type Tensor } from "../../src/graph/graph.js";
import { attachAdapter } from "../../src/lora/attach.js";
import { type AdapterLayout, buildLayout, viewOf } from "../../src/lora/layout.js";
import { type AdapterSpec, adaptGroups, type Initialisation } from "../../src/lora/spec.js";
import type { LinearLayer } from "../../src/models/architecture.js";
import { frozenLayersOf } from "../../src/models/parts/layer-bias.js";
import { plainLinear } from "../../src/models/parts/plain-linear.js";
import { BATCH, ROWS, TOKENS } from "../../src/models/parts/rows.js";
import { attention } from "../../src/ops/attention.js";
import { attentionBias } from "../../src/ops/attention-bias.js";
import { frozenLinear } from "../../src/ops/frozen-linear.js";
import { gatherRows } from "../../src/ops/gather-rows.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { Program } from "../../src/runtime/program.js";
import { batchDimensions, batchFeeds } from "../../src/training/gradient-program.js";
import { newTrainables, placeOf } from "../support/new-adapter.js";
import { batchOf, loadTinyModel, type TinyModel, tinyModelNames } from "../support/tiny-model.js";

const spec = { rank: 4, alpha: 8, dropout: 0, layers: { kind: "all-linear" } } as const;
const initialisations: readonly Initialisation[] = ["gaussian", "peft"];

it.each(tinyModelNames.flatMap((name) => initialisations.map((initialisation) => [name, initialisation] as const)))(
  "the logits of %s with a new adapter (%s) are the base's, to the last bit",
  async (name, initialisation) => {
    const tiny = await loadTinyModel(name);
    const { layout, vector } = await newAdapter(tiny, { ...spec, initialisation });
    const base = await logitsOf(tiny);
    expect(base.length).toBe(tiny.facts.batches[0]!.input_ids.flat().length * tiny.model.dimensions.vocabulary);
    expect(await logitsOf(tiny, layout, vector)).toEqual(base);

    // The first step of a training moves B, and with it the logits.
    for (const layer of layout.groups.flatMap((group) => group.layers)) viewOf(vector, placeOf(layer, "B")).fill(1e-3);
    expect(await logitsOf(tiny, layout, vector)).not.toEqual(base);
  },
);

async function newAdapter({ model }: TinyModel, spec: AdapterSpec) {
  const layout = buildLayout(adaptGroups(model.linearGroups, spec));
  return { layout, vector: await newTrainables(layout, spec.initialisation, 42) };
}

/** The logits of every position of the first golden batch, with an adapter or without: [B·T, V]. */
async function logitsOf(tiny: TinyModel, layout?: AdapterLayout, vector = new Float32Array()): Promise<Float32Array> {
  const { model, weights, weightsFolder } = tiny;
  const batch = batchOf(tiny.facts.batches[0]!);
  const { heads, kvHeads, headSize } = model.dimensions;
  const graph = new Graph();
  const weight = (name: string, shape: readonly number[]) => graph.weight(name, shape);
  const base = (x: Tensor, { name, inputs, outputs }: LinearLayer) => frozenLinear(x, weight(`${name}.weight`, [outputs, inputs]));
  const adapter = layout === undefined ? undefined : attachAdapter(graph, layout, frozenLayersOf(base, weight));
  const segments = graph.input("segments", { dtype: "float32", shape: [BATCH, TOKENS] });
  const bias = attentionBias(segments, graph.input("order", { dtype: "float32", shape: [TOKENS] }));
  const ids = graph.input("ids", { dtype: "int64", shape: [ROWS] });
  const hidden = model.hidden({
    graph,
    ids,
    positions: graph.input("positions", { dtype: "int64", shape: [BATCH, TOKENS] }),
    maxPositions: batch.tokens,
    weight,
    embed: (table, shape) => gatherRows(weight(table, shape), ids),
    linear: adapter?.linear ?? plainLinear(base),
    attend: (q, k, v) => attention(q, k, v, bias, { heads, kvHeads, scale: 1 / Math.sqrt(headSize) }),
  });
  const { vocabulary, hidden: columns } = model.dimensions;
  graph.output("logits", frozenLinear(hidden, weight(model.head, [vocabulary, columns])));
  const program = await Program.compile(graph, nodeEngine, { target: "cpu", weights, weightsFolder });
  const { rows: _rows, targets: _targets, ...feeds } = batchFeeds(batch, model);
  const matrices = [...(adapter?.inputs ?? [])].map(([input, entry]) => [input, viewOf(vector, entry)] as const);
  const { logits } = await program.run({ ...feeds, ...Object.fromEntries(matrices) }, batchDimensions(batch));
  await program.release();
  return Float32Array.from(logits?.data ?? [], Number);
}
