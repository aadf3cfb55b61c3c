import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { buildBatch } from "../../src/data/batch.js";
import { createRandom } from "../../src/data/random.js";
import { completeBatch } from "../../src/generation/answer-batch.js";
import { GenerationProgram } from "../../src/generation/generation-program.js";
import { GenerationSession } from "../../src/generation/generator.js";
import { argMax } from "../../src/generation/sampling.js";
import { Graph, type Tensor } from "../../src/graph/graph.js";
import { lorikeetCacheFolder } from "../../src/hub/node/settings.js";
import type { LanguageModelGraph } from "../../src/models/architecture.js";
import { readLanguageModel } from "../../src/models/index.js";
import { plainLinear } from "../../src/models/parts/plain-linear.js";
import { BATCH, ROWS, TOKENS } from "../../src/models/parts/rows.js";
import { attention } from "../../src/ops/attention.js";
import { attentionBias } from "../../src/ops/attention-bias.js";
import { frozenLinear } from "../../src/ops/frozen-linear.js";
import { gatherRows } from "../../src/ops/gather-rows.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { type CompileOptions, Program } from "../../src/runtime/program.js";
import { LossProgram } from "../../src/training/loss-program.js";
import type { Checkpoint } from "../../src/weights/checkpoint.js";
import { mapWeights } from "../../src/weights/node/mapped-weights.js";
import { openGguf, openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { GREEDY } from "../generation/support.js";
import { largestDifference } from "../support/compare.js";
import { golden, goldenPath } from "../support/golden.js";
import { smollm2Path } from "../support/smollm2.js";

interface Goldens {
  readonly ids: readonly number[];
  readonly sampledIds: readonly number[];
  readonly argMax: readonly number[];
  readonly top5Ids: readonly (readonly number[])[];
  readonly meanNll: number;
  readonly completions: readonly {
    readonly promptIds: readonly number[];
    readonly ids: readonly number[];
    readonly smallestLead: number;
  }[];
}

/** The largest difference of any logit that is allowed; the logits here reach 42. */
const TOLERANCE = 2e-3;
/** Rows whose logits [rows, 49152] leave the engine at a time: 20 MB. */
const CHUNK = 100;

describe("SmolLM2-135M-Instruct against transformers on the same de-quantised weights", () => {
  const facts = golden<Goldens>("smollm2/golden.json");
  let tensors: Checkpoint;
  let model: LanguageModelGraph;
  let compile: CompileOptions;
  beforeAll(async () => {
    tensors = await openSafetensorsFile(goldenPath("smollm2/golden.safetensors"));
    const gguf = await openGguf(await smollm2Path());
    model = readLanguageModel(gguf.config);
    const mapped = await mapWeights(gguf.checkpoint, { cacheFolder: join(lorikeetCacheFolder(), "weights") });
    const place = (name: string) => mapped.get(name)!;
    compile = {
      target: "cpu",
      weightsFolder: [...mapped.values()][0]!.folder,
      weights: (name) => {
        const { dtype, shape, file, offset, byteLength } = place(name);
        return { dtype, shape, data: { file, offset, byteLength } };
      },
    };
  }, 300_000);

  test("the logits of 500 positions", async () => {
    const { hidden, width } = await hiddenStates(model, compile, facts.ids);
    const wantSampled = await tensors.readFloat32("logits"); // [500, 64]
    const wantTop = await tensors.readFloat32("top5"); // [500, 5]
    const head = await Program.compile(headGraph(model), nodeEngine, compile);
    const { vocabulary } = model.dimensions;
    const best: number[] = [];
    let furthest = 0;
    let nll = 0;
    for (let from = 0; from < facts.ids.length; from += CHUNK) {
      const rows = Math.min(CHUNK, facts.ids.length - from);
      const { logits } = await head.run({ hidden: hidden.subarray(from * width, (from + rows) * width) }, { rows });
      for (let row = 0; row < rows; row++) {
        const t = from + row;
        const got = (logits!.data as Float32Array).subarray(row * vocabulary, (row + 1) * vocabulary);
        const at = (ids: readonly number[]) => ids.map((id) => got[id]!);
        const sampled = largestDifference(at(facts.sampledIds), wantSampled.subarray(t * 64, (t + 1) * 64));
        const top = largestDifference(at(facts.top5Ids[t]!), wantTop.subarray(t * 5, (t + 1) * 5));
        furthest = Math.max(furthest, sampled, top);
        best.push(argMax(got));
        const next = facts.ids[t + 1];
        if (next !== undefined) nll += logSumExp(got) - got[next]!;
      }
    }
    await head.release();
    expect(furthest).toBeLessThan(TOLERANCE);
    const agreeing = best.filter((id, t) => id === facts.argMax[t]).length;
    expect(agreeing / facts.ids.length).toBeGreaterThanOrEqual(0.99);
    expect(Math.abs(nll / (facts.ids.length - 1) - facts.meanNll)).toBeLessThan(5e-5);
  });

  test("the mean loss of the same text by the training's own program", async () => {
    const program = await LossProgram.compile(nodeEngine, { model, maxTokens: 512 }, compile);
    const example = { ids: Int32Array.from(facts.ids), supervised: new Uint8Array(facts.ids.length).fill(1) };
    const losses = await program.run(buildBatch([example]), new Float32Array());
    expect(losses).toHaveLength(facts.ids.length - 1);
    expect(Math.abs(losses.reduce((sum, loss) => sum + loss, 0) / losses.length - facts.meanNll)).toBeLessThan(5e-5);
    await program.release();
  });

  test("greedy completions of three chats: ids and logits, alone and as one batch", async () => {
    const program = await GenerationProgram.compile(nodeEngine, { model, maxPositions: 512 }, compile);
    const endIds = new Set<number>();
    for (const [number, { promptIds, ids, smallestLead }] of facts.completions.entries()) {
      expect(smallestLead).toBeGreaterThan(2 * TOLERANCE); // or equal ids would be luck
      const want = await tensors.readFloat32(`completion.${number}.logits`); // [32, 64]
      const cache = program.cache(1, promptIds.length + ids.length);
      let feed = promptIds;
      for (const [step, id] of ids.entries()) {
        const logits = await program.step(cache, [feed]);
        const sampled = facts.sampledIds.map((sample) => logits[sample]!);
        expect(largestDifference(sampled, want.subarray(step * 64, (step + 1) * 64))).toBeLessThan(TOLERANCE);
        expect(argMax(logits)).toBe(id);
        feed = [id];
      }
    }
    const prompts = facts.completions.map(({ promptIds }) => promptIds);
    const expected = facts.completions.map(({ ids }) => ids);
    const batch = await completeBatch(program, prompts, { maxNewTokens: 8, endIds });
    expect(batch).toEqual(expected.map((ids) => ids.slice(0, 8)));
    const session = new GenerationSession(program);
    const told: number[] = [];
    const options = { prompt: prompts[0]!, maxNewTokens: 8, endIds, sampling: GREEDY, random: createRandom(0) };
    for await (const id of session.generate(options)) told.push(id);
    expect(told).toEqual(expected[0]!.slice(0, 8));
    await program.release();
  });
});

/** The hidden states of one text after the final norm, [T, C]. */
async function hiddenStates(model: LanguageModelGraph, compile: CompileOptions, ids: readonly number[]) {
  const graph = new Graph();
  const { heads, kvHeads, headSize } = model.dimensions;
  const weight = (name: string, shape: readonly number[]) => graph.weight(name, shape);
  const segments = graph.input("segments", { dtype: "float32", shape: [BATCH, TOKENS] });
  const bias = attentionBias(segments, graph.input("order", { dtype: "float32", shape: [TOKENS] }));
  const tokenIds = graph.input("ids", { dtype: "int64", shape: [ROWS] });
  const output = model.hidden({
    graph,
    ids: tokenIds,
    positions: graph.input("positions", { dtype: "int64", shape: [BATCH, TOKENS] }),
    maxPositions: ids.length,
    weight,
    embed: (table, shape) => gatherRows(weight(table, shape), tokenIds),
    linear: plainLinear((x: Tensor, { name, inputs, outputs }) => frozenLinear(x, weight(`${name}.weight`, [outputs, inputs]))),
    attend: (q, k, v) => attention(q, k, v, bias, { heads, kvHeads, scale: 1 / Math.sqrt(headSize) }),
  });
  graph.output("hidden", output);
  const program = await Program.compile(graph, nodeEngine, compile);
  const tokens = ids.length;
  const count = BigInt64Array.from(ids.keys(), BigInt);
  const feeds = {
    ids: BigInt64Array.from(ids, BigInt),
    positions: count,
    segments: new Float32Array(tokens).fill(1),
    order: Float32Array.from(ids.keys()),
  };
  const { hidden } = await program.run(feeds, { batch: 1, tokens });
  await program.release();
  return { hidden: hidden!.data as Float32Array, width: model.dimensions.hidden };
}

/** Hidden states [rows, C] → logits [rows, V]. */
function headGraph(model: LanguageModelGraph): Graph {
  const graph = new Graph();
  const { vocabulary, hidden: columns } = model.dimensions;
  const hidden = graph.input("hidden", { dtype: "float32", shape: ["rows", columns] });
  graph.output("logits", frozenLinear(hidden, graph.weight(model.head, [vocabulary, columns])));
  return graph;
}

function logSumExp(logits: Float32Array): number {
  let top = Number.NEGATIVE_INFINITY;
  for (const logit of logits) top = Math.max(top, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  return top + Math.log(sum);
}
