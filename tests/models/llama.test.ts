import { describe, expect, test } from "vitest";
import type { Batch } from "../../src/data/batch.js";
import { Graph, type Tensor } from "../../src/graph/graph.js";
import { viewOf } from "../../src/lora/layout.js";
import { plainLinear } from "../../src/models/parts/plain-linear.js";
import { BATCH, ROWS, TOKENS } from "../../src/models/parts/rows.js";
import { add } from "../../src/ops/add.js";
import { attention } from "../../src/ops/attention.js";
import { attentionBias } from "../../src/ops/attention-bias.js";
import { gatherRows } from "../../src/ops/gather-rows.js";
import { gradients } from "../../src/ops/gradients.js";
import { linear } from "../../src/ops/linear.js";
import { reshape } from "../../src/ops/reshape.js";
import { vocabularyLoss } from "../../src/ops/vocabulary-loss.js";
import { weightedSum } from "../../src/ops/weighted-sum.js";
import type { HostTensor } from "../../src/runtime/engine.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { Program } from "../../src/runtime/program.js";
import { batchDimensions, batchFeeds, GradientProgram } from "../../src/training/gradient-program.js";
import { buildSequenceGraph } from "../../src/training/sequence-graph.js";
import { relativeError } from "../support/compare.js";
import { batchOf, loadTinyModel, type TinyModel, tinyModelNames } from "../support/tiny-model.js";

/** transformers and PEFT in fp32 lie within 3e-6 of fp64 (tests/golden/README.md); what the library promises is 1e-4. */
const TOLERANCE = 1e-4;
const MAX_TOKENS = 64;

const options = (tiny: TinyModel) => ({ target: "cpu", weights: tiny.weights, weightsFolder: tiny.weightsFolder }) as const;

describe.each(tinyModelNames)("%s against transformers and PEFT", (name) => {
  const configs = ["config.json", "config.transformers4.json"];

  test.each(configs)("base logits, %s", async (config) => {
    const tiny = await loadTinyModel(name, config);
    const batch = batchOf(tiny.facts.batches[0]!);
    const { graph, hidden, head } = fullGraph(tiny);
    graph.output("logits", linear(hidden, head()));
    const program = await Program.compile(graph, nodeEngine, options(tiny));
    const { rows: _rows, targets: _targets, ...feeds } = batchFeeds(batch, tiny.model);
    const outputs = await program.run({ ...feeds, ...(await weightFeeds(tiny, graph)) }, batchDimensions(batch));
    const got = floats(outputs.logits);
    // The golden is zero on padding.
    const width = got.length / batch.segments.length;
    const masked = got.map((value, index) => value * (batch.segments[Math.floor(index / width)] ?? 0));
    expect(relativeError(masked, await tiny.golden.readFloat32("base.logits"))).toBeLessThan(TOLERANCE);
    await program.release();
  });

  test("the loss of every token, base and adapted", async () => {
    const tiny = await loadTinyModel(name);
    for (const kind of ["base", "adapted"] as const) {
      const got = await tokenLosses(tiny, kind === "base" ? undefined : tiny.adapter);
      const want = (await tiny.golden.readFloat32(`${kind}.nll`)).filter((_, index) => supervisedPositions(tiny).has(index));
      expect(relativeError(got, want)).toBeLessThan(TOLERANCE);
      expect(got.reduce((sum, loss) => sum + loss, 0) / tiny.facts[kind].sum).toBeCloseTo(1, 5);
      expect(got.length).toBe(tiny.facts[kind].count);
    }
  });

  test("at initialisation (B zero) every loss equals the base's exactly", async () => {
    const tiny = await loadTinyModel(name);
    const initial = tiny.adapter.slice();
    for (const [entryName, entry] of tiny.layout.entries) if (entryName.includes("lora_B")) viewOf(initial, entry).fill(0);
    expect(await tokenLosses(tiny, initial)).toEqual(await tokenLosses(tiny, undefined));
  });

  test.each([
    ...configs.map((config) => ({ config, sizes: { maxTokens: MAX_TOKENS }, parts: "whole" })),
    { config: "config.json", sizes: { maxTokens: 512, maxSupervised: 1024 }, parts: "queries and learned tokens in 4 chunks" },
    { config: "config.json", sizes: { maxTokens: MAX_TOKENS, gradientCheckpointing: true }, parts: "blocks computed again" },
  ])("the summed loss and the gradient of every A and B, $config, $parts", async ({ config, sizes }) => {
    const tiny = await loadTinyModel(name, config);
    const program = await GradientProgram.compile(nodeEngine, { ...tiny, ...sizes }, options(tiny));
    const gradient = new Float32Array(tiny.layout.length);
    const { loss, count } = await program.run(withPlaces(batchOf(tiny.facts.batches[0]!), 16), tiny.adapter, gradient);
    expect(count).toBe(tiny.facts.adapted.count);
    expect(Math.abs(loss / tiny.facts.adapted.sum - 1)).toBeLessThan(1e-5);
    const errors = new Map<string, number>();
    for (const [entryName, entry] of tiny.layout.entries) {
      const want = await tiny.golden.readFloat32(`adapted.gradient/base_model.model.${entryName}`);
      errors.set(entryName, relativeError(viewOf(gradient, entry), want));
    }
    const golden = [...tiny.golden.tensors.keys()].filter((key) => key.startsWith("adapted.gradient/"));
    expect(errors.size).toBe(golden.length);
    expect(above(errors, TOLERANCE)).toEqual([]);
    await program.release();
  });

  // The loss takes its output projection as frozen. As a trained one it has the gradient of the same rows through a plain
  // layer whose own output is pulled by softmax(z) − 1ₜ.
  test("the gradient of every weight of the base: embedding, gains, matrices, head", async () => {
    const tiny = await loadTinyModel(name);
    const { vocabulary, hidden: columns } = tiny.model.dimensions;
    const batch = batchOf(tiny.facts.batches[0]!);
    const { graph, hidden, trainables, head } = fullGraph(tiny);
    const float = (input: string, ...shape: (string | number)[]) => graph.input(input, { dtype: "float32", shape });
    const supervised = gatherRows(hidden, graph.input("rows", { dtype: "int64", shape: ["supervised"] })); // [S, C]
    const targets = graph.input("targets", { dtype: "int64", shape: ["supervised"] });
    const losses = vocabularyLoss(supervised, float("frozen", vocabulary, columns), targets, { chunks: 1, differentiable: true });
    const logits = linear(float("states", "supervised", columns), head()); // [S, V]
    const pulled = weightedSum(reshape(logits, [`supervised*${vocabulary}`]), float("pull", `supervised*${vocabulary}`));
    const loss = add(weightedSum(losses, float("weights", "supervised")), pulled);
    const names = [...trainables.keys()];
    for (const [index, gradient] of gradients(loss, [...trainables.values()]).entries()) graph.output(`gradient:${names[index]}`, gradient);
    graph.output("supervised", supervised);
    graph.output("logits", logits);
    const program = await Program.compile(graph, nodeEngine, options(tiny));
    const feeds = { ...batchFeeds(batch, tiny.model), weights: batch.weights, ...(await weightFeeds(tiny, graph)) };
    const frozen = await tiny.checkpoint.readFloat32(tiny.model.head);
    const count = batch.supervisedCount;
    const run = (states: Float32Array, pull: Float32Array) => program.run({ ...feeds, frozen, states, pull }, batchDimensions(batch));
    const none = new Float32Array(count * vocabulary);
    const states = floats((await run(new Float32Array(count * columns), none)).supervised);
    const pull = lossSlopes(floats((await run(states, none)).logits), batch.targets);
    const outputs = await run(states, pull);
    const errors = new Map<string, number>();
    for (const weight of names) {
      const got = floats(outputs[`gradient:${weight}`]);
      errors.set(weight, relativeError(got, await tiny.golden.readFloat32(`base.gradient/${weight}`)));
    }
    expect(errors.size).toBe([...tiny.golden.tensors.keys()].filter((key) => key.startsWith("base.gradient/")).length);
    expect(above(errors, TOLERANCE)).toEqual([]);
    await program.release();
  });
});

function floats(tensor: HostTensor | undefined): Float32Array<ArrayBuffer> {
  return Float32Array.from(tensor?.data ?? [], Number);
}

/** softmax(z) − 1ₜ of logits [S, V], in double precision. */
function lossSlopes(logits: Float32Array, targets: BigInt64Array): Float32Array<ArrayBuffer> {
  const width = logits.length / targets.length;
  const slopes = [...targets].flatMap((target, row) => {
    const exponentials = Array.from(logits.subarray(row * width, (row + 1) * width), Math.exp);
    const sum = exponentials.reduce((total, value) => total + value, 0);
    return exponentials.map((value, column) => value / sum - Number(column === Number(target)));
  });
  return Float32Array.from(slopes);
}

function above(errors: ReadonlyMap<string, number>, limit: number): string[] {
  return [...errors].filter(([, error]) => !(error <= limit)).map(([name, error]) => `${name}: ${error}`);
}

/** A batch with places of weight 0 behind its learned tokens, as the trainer pads them: so many in all. */
function withPlaces(batch: Batch, places: number): Batch {
  const supervisedRows = new BigInt64Array(places);
  const targets = new BigInt64Array(places);
  const weights = new Float32Array(places);
  supervisedRows.set(batch.supervisedRows);
  targets.set(batch.targets);
  weights.set(batch.weights);
  return { ...batch, supervisedRows, targets, weights };
}

/** Indexes of [B, T] whose next token is supervised in batch 0. */
function supervisedPositions(tiny: TinyModel): ReadonlySet<number> {
  return new Set([...batchOf(tiny.facts.batches[0]!).supervisedRows].map(Number));
}

/** The loss of each supervised token of batch 0, with an adapter or without. */
async function tokenLosses(tiny: TinyModel, adapter: Float32Array | undefined): Promise<number[]> {
  const batch = batchOf(tiny.facts.batches[0]!);
  const layout = adapter === undefined ? undefined : tiny.layout;
  const sequence = buildSequenceGraph({ model: tiny.model, layout, maxTokens: MAX_TOKENS });
  sequence.graph.output("losses", sequence.losses);
  const program = await Program.compile(sequence.graph, nodeEngine, options(tiny));
  const matrices = [...(sequence.adapter?.inputs ?? [])].map(
    ([input, entry]) => [input, viewOf(adapter ?? new Float32Array(), entry)] as const,
  );
  const { losses } = await program.run({ ...batchFeeds(batch, tiny.model), ...Object.fromEntries(matrices) }, batchDimensions(batch));
  await program.release();
  return Array.from(losses?.data ?? [], Number);
}

/** The model with every weight an input of the graph, as full fine-tuning has it; the head joins them where it is asked for. */
function fullGraph({ model }: TinyModel) {
  const graph = new Graph();
  const trainables = new Map<string, Tensor>();
  const weight = (name: string, shape: readonly number[]): Tensor => {
    const tensor = graph.input(name, { dtype: "float32", shape });
    trainables.set(name, tensor);
    return tensor;
  };
  const { heads, kvHeads, headSize } = model.dimensions;
  const segments = graph.input("segments", { dtype: "float32", shape: [BATCH, TOKENS] });
  const bias = attentionBias(segments, graph.input("order", { dtype: "float32", shape: [TOKENS] }));
  const ids = graph.input("ids", { dtype: "int64", shape: [ROWS] });
  const hidden = model.hidden({
    graph,
    ids,
    positions: graph.input("positions", { dtype: "int64", shape: [BATCH, TOKENS] }),
    maxPositions: MAX_TOKENS,
    weight,
    embed: (table, shape) => gatherRows(weight(table, shape), ids),
    linear: plainLinear((x, { name, inputs, outputs }) => linear(x, weight(`${name}.weight`, [outputs, inputs]))),
    attend: (q, k, v) => attention(q, k, v, bias, { heads, kvHeads, scale: 1 / Math.sqrt(headSize) }),
  });
  const { vocabulary, hidden: columns } = model.dimensions;
  return { graph, hidden, trainables, head: () => weight(model.head, [vocabulary, columns]) };
}

/** The stored weights as feeds of those inputs of a graph that are weights of the model. */
async function weightFeeds({ model, checkpoint }: TinyModel, graph: Graph): Promise<Record<string, Float32Array>> {
  const feeds: Record<string, Float32Array> = {};
  for (const name of model.weights.keys()) if (graph.inputs.has(name)) feeds[name] = await checkpoint.readFloat32(name);
  return feeds;
}
