import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readGgufAdapterFile } from "../../src/interchange/gguf/node/adapter-file.js";
import { writeGguf } from "../../src/interchange/gguf/node/write-gguf.js";
import { ggufAdapter } from "../../src/interchange/gguf/write-adapter.js";
import { type Adapter, vectorFromAdapter } from "../../src/lora/adapter.js";
import { checkFit } from "../../src/lora/fit.js";
import { inspectAdapter } from "../../src/lora/inspection.js";
import type { LanguageModelGraph } from "../../src/models/architecture.js";
import { readLanguageModel } from "../../src/models/index.js";
import type { TextCodec } from "../../src/text/tokenizer.js";
import type { GgufModel } from "../../src/weights/gguf.js";
import { openGguf } from "../../src/weights/node/open-checkpoint.js";
import { compileWithWeights } from "../../src/workflows/node/model-weights.js";
import { relativeError } from "../support/compare.js";
import { randomAdapter, strengths } from "../support/gguf-adapter.js";
import { ggufFacts, ggufGolden, ggufNames, ggufPath } from "../support/gguf-golden.js";
import { golden } from "../support/golden.js";
import { sequenceLogits } from "../support/sequence-logits.js";
import { batchOf } from "../support/tiny-model.js";
import { floats } from "../weights/golden.js";

// Adapters as GGUF. llama.cpp read these very files (their digests are in the golden) beside the models of tests/golden/gguf.

const llamaCpp = golden<Record<string, { readonly sha256: string; readonly llamaCpp: string }>>("gguf/adapters.json");

/** As for the models alone: what the library promises, and llama.cpp's table of GELU in half precision. */
const TOLERANCE = 1e-4;
const GELU_TABLE = 2e-3;
/** By how much each of these adapters changes the logits, at least. */
const VISIBLE = 0.1;

const folder = mkdtempSync(join(tmpdir(), "lorikeet-gguf-adapter-"));
beforeAll(() => {
  process.env.LORIKEET_CACHE = folder;
});
afterAll(() => rmSync(folder, { recursive: true }));

const write = async (adapter: Adapter, model: LanguageModelGraph, name: string): Promise<string> => {
  const path = join(folder, `${name}.gguf`);
  const { entries, tensors } = ggufAdapter(adapter, model, name);
  await writeGguf(path, entries, tensors);
  return path;
};

const modelOf = async (name: string): Promise<LanguageModelGraph> => readLanguageModel((await openGguf(ggufPath(name))).config);

describe.each(ggufNames.filter((name) => !name.endsWith("-quantised")))("an adapter of %s as GGUF", (name) => {
  let gguf: GgufModel;
  let model: LanguageModelGraph;
  let adapter: Adapter;
  let path: string;
  beforeAll(async () => {
    gguf = await openGguf(ggufPath(name));
    model = readLanguageModel(gguf.config);
    adapter = randomAdapter(model, strengths[name]);
    path = await write(adapter, model, name);
  });

  // Proves gguf-adapter out: llama.cpp's logits with it, for every decoder
  test("is the file that llama.cpp was given, and gives its logits", async () => {
    const facts = llamaCpp[name];
    expect(createHash("sha256").update(readFileSync(path)).digest("hex")).toBe(facts?.sha256);
    const want = floats(facts?.llamaCpp ?? "");
    const tolerance = /^(?:gemma|gpt2)/.test(ggufFacts(name).architecture) ? GELU_TABLE : TOLERANCE;
    const codec = { encode: () => Array.from({ length: 60 }, (_, index) => (7 * index) % model.dimensions.vocabulary) };
    const described = {
      ...gguf,
      name,
      path: name,
      model,
      codec: codec as unknown as TextCodec,
      parameters: 0,
      ggufMetadata: gguf.metadata,
    };
    const compile = await compileWithWeights(described, { target: "cpu", threads: 1 }, {});
    const batch = batchOf({
      input_ids: [ggufGolden.ids],
      attention_mask: [ggufGolden.ids.map(() => 1)],
      labels: [ggufGolden.ids],
    });
    const { layout, vector } = vectorFromAdapter(adapter, model);
    expect(relativeError(await sequenceLogits(model, batch, compile, { layout, adapter: vector }), want)).toBeLessThan(tolerance);
    expect(relativeError(floats(ggufFacts(name).logits), want)).toBeGreaterThan(VISIBLE);
  });

  // Proves gguf-adapter in: the file with which llama.cpp gave these logits is the adapter
  test("is read as it was written", async () => {
    const read = await readGgufAdapterFile(path, model);
    checkFit(read, model.linearGroups.flat(), name);
    const same = strengths[name] === undefined; // then B is stored as it is
    for (const layer of adapter.layers) {
      const found = read.layers.find((each) => each.name === layer.name);
      expect(found?.a).toEqual(layer.a);
      if (same) expect(found).toEqual(layer);
      const effect = (each: typeof layer) => each.b.map((value) => value * each.scale);
      expect(relativeError(effect(found ?? layer), effect(layer))).toBeLessThan(2e-7);
    }
    expect(read.layers).toHaveLength(adapter.layers.length);
    expect(read.config).toMatchObject({ baseModel: "tiny", isConv1D: adapter.config.isConv1D });
    // and written again, the same file
    expect(readFileSync(await write(read, model, `${name}-again`))).toEqual(readFileSync(path));
  });

  test("can be looked at without its model", async () => {
    const [seen, expected] = [await readGgufAdapterFile(path), adapter].map((each) => inspectAdapter(each));
    const [found, want] = [await seen, await expected];
    for (const [index, layer] of (want?.layers ?? []).entries()) {
      const other = found?.layers.find((each) => each.name === layer.name);
      expect(other?.norm, String(index)).toBeCloseTo(layer.norm, 4);
    }
  });
});

describe("refused is", () => {
  test("an adapter that GGUF cannot express, with what to do instead", async () => {
    const model = await modelOf("llama");
    const adapter = randomAdapter(model);
    const [first] = adapter.layers;
    const layers = [{ ...(first as NonNullable<typeof first>), name: "model.layers.0.mlp.router" }];
    const trained = [{ name: "score.weight", shape: [2, 16], values: new Float32Array(32) }];
    expect(() => ggufAdapter({ ...adapter, config: { ...adapter.config, method: "dora" }, layers, trained }, model, "m")).toThrow(
      "The adapter cannot be a GGUF adapter:\n- its layers are dora's, where GGUF knows plain LoRA alone\n- score.weight: trained whole beside the adapter\n- llama.cpp's llama has no weight for model.layers.0.mlp.router\nFold it into its model instead: `lorikeet merge`.",
    );
    expect(() => ggufAdapter(adapter, { ...model, modelType: "bert" }, "m")).toThrow("A model of architecture bert has no GGUF form here.");
  });

  test("a file of a model, and an adapter of another architecture", async () => {
    const model = await modelOf("llama");
    await expect(readGgufAdapterFile(ggufPath("llama"), model)).rejects.toThrow(
      'holds no LoRA adapter: its general.type is "model". Give a model\'s file as the model.',
    );
    const path = await write(randomAdapter(model), model, "other");
    await expect(readGgufAdapterFile(path, await modelOf("qwen2"))).rejects.toThrow(
      "is for a model of architecture llama, where this one is qwen2.",
    );
  });

  test("a file whose matrices do not belong together, with all that is wrong", async () => {
    const model = await modelOf("llama");
    const { entries, tensors } = ggufAdapter(randomAdapter(model), model, "m");
    const path = join(folder, "broken.gguf");
    const [a, b, c, d, ...rest] = tensors as [(typeof tensors)[0], (typeof tensors)[0], (typeof tensors)[0], (typeof tensors)[0]];
    const embedding = { ...a, name: "token_embd.weight.lora_a" };
    const shape = [1, b.shape.reduce((product, size) => product * size, 1)];
    await writeGguf(path, entries, [a, { ...b, shape }, d, embedding, { ...c, name: "blk.0.attn_norm.weight" }, ...rest]);
    await expect(readGgufAdapterFile(path, model)).rejects.toThrow(
      [
        "broken.gguf is not a usable adapter:",
        "- token_embd.weight.lora_a: an adapter of the embedding is not supported",
        "- blk.0.attn_norm.weight is neither a lora_a nor a lora_b, which is not supported",
        `- blk.0.attn_q.weight: lora_a is [${a.shape.join(", ")}] and lora_b [${shape.join(", ")}]; expected [r, in] and [out, r]`,
        `- blk.0.attn_k.weight: lora_a is missing and lora_b [${d.shape.join(", ")}]; expected [r, in] and [out, r]`,
      ].join("\n"),
    );
  });
});
