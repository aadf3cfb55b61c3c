import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Graph } from "../../src/graph/graph.js";
import { viewOf } from "../../src/lora/layout.js";
import { add } from "../../src/ops/add.js";
import type { StoredWeight } from "../../src/runtime/emit.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { Program } from "../../src/runtime/program.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import { profiled, type Ran } from "../support/profile.js";
import { batchOf, loadTinyModel, type TinyModel, tinyModelNames } from "../support/tiny-model.js";

/** Facts of ONNX Runtime that the design rests on: an update of the engine must not break them silently. */

const cpu = { target: "cpu" } as const;

async function gradientOf(
  tiny: TinyModel,
  weights: (name: string) => StoredWeight,
  profile?: string,
): Promise<{ loss: number; gradient: Float32Array }> {
  const options = { ...cpu, weights, weightsFolder: tiny.weightsFolder, profile };
  const program = await GradientProgram.compile(nodeEngine, { ...tiny, maxTokens: 16 }, options);
  const gradient = new Float32Array(tiny.layout.length);
  const { loss } = await program.run(batchOf(tiny.facts.batches[0]!), tiny.adapter, gradient);
  if (profile !== undefined) program.endProfiling();
  await program.release();
  return { loss, gradient };
}

/** The same weights as float32 in memory. */
async function inline({ checkpoint }: TinyModel): Promise<(name: string) => StoredWeight> {
  const stored = new Map<string, StoredWeight>();
  for (const [name, { shape }] of checkpoint.tensors) {
    const values = await checkpoint.readFloat32(name);
    stored.set(name, { dtype: "float32", shape, data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) });
  }
  return (name) => stored.get(name)!;
}

describe.each(tinyModelNames)("%s", (name) => {
  test("weights mapped out of the checkpoint's own files equal weights in memory, bit for bit", async () => {
    const tiny = await loadTinyModel(name);
    const places = [...tiny.model.weights.keys()].map((weight) => tiny.weights(weight).data as { file: string; offset: number });
    expect(places.every(({ file, offset }) => file.startsWith("model") && offset > 0)).toBe(true);
    expect(await gradientOf(tiny, tiny.weights)).toEqual(await gradientOf(tiny, await inline(tiny)));
  });
});

test("bfloat16 weights are widened while the program runs, each reader by its own node", async () => {
  const tiny = await loadTinyModel("tiny-llama3");
  let ran: readonly Ran[] = [];
  ran = await profiled(async (profile) => {
    await gradientOf(tiny, tiny.weights, profile);
  });
  const matrices = tiny.model.linearGroups.flat().length;
  const casts = ran.filter(({ type }) => type === "Cast").length;
  // Forward and backward of every matrix, of the head and of the norms; the embedding is read once. Folded ones would be missing.
  expect(casts).toBeGreaterThanOrEqual(2 * matrices + 2 + 1);
});

test("a symbolic link out of the weights' folder is refused", async () => {
  const tiny = await loadTinyModel("tiny-llama");
  const folder = mkdtempSync(join(tmpdir(), "lorikeet-link-"));
  symlinkSync(join(tiny.weightsFolder, "model.safetensors"), join(folder, "model.safetensors"));
  const options = { ...cpu, weights: tiny.weights, weightsFolder: folder };
  await expect(GradientProgram.compile(nodeEngine, { ...tiny, maxTokens: 16 }, options)).rejects.toThrow(/escapes/);
  rmSync(folder, { recursive: true });
});

test("outputs are written into the memory that was given, views of one vector included", async () => {
  const tiny = await loadTinyModel("tiny-llama");
  const { gradient } = await gradientOf(tiny, tiny.weights);
  for (const [name, entry] of tiny.layout.entries) {
    expect(
      viewOf(gradient, entry).some((value) => value !== 0),
      name,
    ).toBe(true);
  }
});

describe("a program checks what it is fed", () => {
  const compiled = () => {
    const graph = new Graph();
    const a = graph.input("a", { dtype: "float32", shape: ["n", 2] });
    graph.output("sum", add(a, graph.input("b", { dtype: "float32", shape: [2] })));
    return Program.compile(graph, nodeEngine, {
      ...cpu,
      weights: () => {
        throw new Error("no weights");
      },
    });
  };
  const b = Float32Array.of(10, 20);

  test("a result, fresh and in place", async () => {
    const program = await compiled();
    const { sum } = await program.run({ a: Float32Array.of(1, 2, 3, 4), b }, { n: 2 });
    expect(sum).toEqual({ data: Float32Array.of(11, 22, 13, 24), dims: [2, 2] });
    const memory = new Float32Array(8);
    await program.run({ a: Float32Array.of(1, 2, 3, 4), b }, { n: 2 }, { sum: memory.subarray(2, 6) });
    expect(memory).toEqual(Float32Array.of(0, 0, 11, 22, 13, 24, 0, 0));
    await program.release();
  });

  test("a missing input, another count, an unknown output, an unbound extent", async () => {
    const program = await compiled();
    const a = Float32Array.of(1, 2, 3, 4);
    await expect(program.run({ a }, { n: 2 })).rejects.toThrow('"b" [2] was not given');
    await expect(program.run({ a, b }, { n: 3 })).rejects.toThrow('"a" is [3, 2], 6 values, but 4 were given');
    await expect(program.run({ a, b }, { n: 2 }, { total: b })).rejects.toThrow('no output "total"');
    await expect(program.run({ a, b }, {})).rejects.toThrow('the dimension "n" has no value in this run');
    await program.release();
  });
});
