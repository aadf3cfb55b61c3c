import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { writeGguf } from "../../src/interchange/gguf/node/write-gguf.js";
import { type ModelType, typeIn, typeOfBase, unchangedType } from "../../src/interchange/gguf/tensor-types.js";
import { type GgufModelFile, ggufOfGguf } from "../../src/interchange/gguf/write-model.js";
import type { Adapter } from "../../src/lora/adapter.js";
import { mergedWeight } from "../../src/lora/merge.js";
import { createRoundingMeter } from "../../src/lora/merge-rounding.js";
import { readLanguageModel } from "../../src/models/index.js";
import type { TextCodec } from "../../src/text/tokenizer.js";
import { readStoredSlabs, type StoredTensor } from "../../src/weights/checkpoint.js";
import { openGguf, openRawGguf } from "../../src/weights/node/open-checkpoint.js";
import { compileWithWeights } from "../../src/workflows/node/model-weights.js";
import { relativeError } from "../support/compare.js";
import { randomAdapter } from "../support/gguf-adapter.js";
import { ggufGolden, ggufPath } from "../support/gguf-golden.js";
import { blockTypes, mergedInBlocks } from "../support/gguf-merged.js";
import { golden } from "../support/golden.js";
import { sequenceLogits } from "../support/sequence-logits.js";
import { batchOf } from "../support/tiny-model.js";
import { floats } from "../weights/golden.js";

// Merged models in blocks of 4 to 8 bits. What the blocks of a type are is in weights/written-types.test.ts; here, which tensor gets which,
// that llama.cpp computes with such a file what Lorikeet does, and that what rounding costs is measured.

const folder = mkdtempSync(join(tmpdir(), "lorikeet-gguf-blocks-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function written(name: string, { entries, tensors }: GgufModelFile): Promise<string> {
  const path = join(folder, `${name}.gguf`);
  await writeGguf(path, entries, tensors);
  return path;
}

const { blocks } = golden<{ blocks: Record<string, { sha256: string; llamaCpp: string }> }>("gguf/merged.json");

// Proves gguf-model out: llama.cpp's logits in each type of blocks
test.each(blockTypes)("%s: llama.cpp's logits with the file are Lorikeet's", async (type) => {
  const path = await written(type, mergedInBlocks(type));
  const judged = blocks[type];
  expect(createHash("sha256").update(readFileSync(path)).digest("hex")).toBe(judged?.sha256);
  const gguf = await openGguf(path);
  const model = readLanguageModel(gguf.config);
  const codec = { encode: () => [] } as unknown as TextCodec;
  const described = { ...gguf, name: type, path, model, codec, parameters: 0, ggufMetadata: gguf.metadata };
  const compile = await compileWithWeights(described, { target: "cpu", threads: 1 }, {});
  const ids = [ggufGolden.ids];
  const batch = batchOf({ input_ids: ids, attention_mask: ids.map((row) => row.map(() => 1)), labels: ids });
  const logits = floats(judged?.llamaCpp ?? "");
  const ours = (await sequenceLogits(model, batch, compile)).subarray(-logits.length);
  // llama.cpp rounds what each product reads to 8 bits, which in F32 it does not.
  expect(relativeError(ours, logits)).toBeLessThan(0.05);
});

describe("a base in blocks", () => {
  /** The whole adapter at two kinds of layers alone, one of whose rows llama.cpp interleaves. */
  async function merged(type: ModelType, strength: number) {
    const path = ggufPath("llama-quantised");
    const { config, checkpoint } = await openGguf(path);
    const model = readLanguageModel(config);
    const all = randomAdapter(model);
    const layers = all.layers
      .filter(({ name }) => /q_proj|down_proj/.test(name))
      .map((layer) => ({ ...layer, scale: strength * layer.scale }));
    const adapter: Adapter = { ...all, layers };
    const meter = createRoundingMeter();
    const raw = await openRawGguf(path);
    const file = await ggufOfGguf({ model, checkpoint, adapter, type, meter }, raw);
    const out = await written(`${type}-${strength}`, file);
    return { raw, checkpoint, adapter, rounding: meter.result, again: await openRawGguf(out), read: (await openGguf(out)).checkpoint };
  }

  const bytesOf = async (tensor: StoredTensor) => {
    const slabs: Uint8Array[] = [];
    for await (const { bytes } of readStoredSlabs(tensor)) slabs.push(bytes);
    return Buffer.concat(slabs);
  };

  test("as the base: what does not change is copied byte for byte, what does has the base's type and values near the merged ones", async () => {
    const { raw, again, checkpoint, read, adapter } = await merged("base", 1);
    const changed = new Set(["attn_q", "ffn_down"].flatMap((kind) => [0, 1].map((block) => `blk.${block}.${kind}.weight`)));
    for (const [name, tensor] of raw.tensors) {
      const after = again.tensors.get(name);
      expect([name, after?.type, after?.shape]).toEqual([name, tensor.type, tensor.shape]);
      const same = (await bytesOf(tensor)).equals(await bytesOf(after as StoredTensor));
      expect([name, same]).toEqual([name, !changed.has(name)]);
    }
    expect(again.metadata["general.file_type"]).toEqual(raw.metadata["general.file_type"]);
    for (const layer of adapter.layers) {
      const name = `${layer.name}.weight`;
      const wanted = mergedWeight(await checkpoint.readFloat32(name), layer, layer);
      expect(relativeError(await read.readFloat32(name), wanted), name).toBeLessThan(0.1);
    }
  });

  test.each([
    ["base", 1],
    ["base", 0.002], // smaller than the steps
    ["Q8_0", 1],
  ] as const)("%s at strength %d: what rounding does to each kind of weights is measured as the file shows it", async (type, strength) => {
    const { checkpoint, read, adapter, rounding } = await merged(type, strength);
    const { kinds, ...all } = rounding();
    const totals = { error: 0, weights: 0, change: 0, along: 0 };
    for (const layer of adapter.layers) {
      const name = `${layer.name}.weight`;
      const before = await checkpoint.readFloat32(name);
      const wanted = mergedWeight(before, layer, layer);
      for (const [at, value] of (await read.readFloat32(name)).entries()) {
        const change = wanted[at]! - before[at]!;
        totals.error += (value - wanted[at]!) ** 2;
        totals.weights += wanted[at]! ** 2;
        totals.change += change ** 2;
        totals.along += (value - before[at]!) * change;
      }
    }
    expect(all.ofWeights).toBeCloseTo(Math.sqrt(totals.error / totals.weights), 5);
    expect(all.ofChange / Math.sqrt(totals.error / totals.change)).toBeCloseTo(1, 4);
    expect(all.change).toBeCloseTo(Math.sqrt(totals.change / totals.weights), 5);
    expect(all.arrived).toBeCloseTo(totals.along / totals.change, 4);
    if (strength === 0.002) expect(all.arrived).toBeLessThan(0.6);
    else expect(Math.abs(all.arrived - 1)).toBeLessThan(0.05);
    const adapted = kinds.filter(({ isAdapted }) => isAdapted);
    expect(new Set(adapted.map(({ kind }) => kind))).toEqual(new Set(["q_proj", "down_proj"]));
    // Of the others, those that were written anew are there too.
    expect(kinds.some(({ isAdapted }) => !isAdapted)).toBe(type === "Q8_0");
    for (const { ofWeights } of kinds) expect(ofWeights).toBeGreaterThan(0);
  });

  test("in a type of less than 8 bits, what is in blocks already and does not change stays", async () => {
    const { raw, again } = await merged("Q4_0", 1);
    for (const [name, { type }] of raw.tensors) {
      const expected = type === "F32" ? "F32" : /attn_q|ffn_down/.test(name) ? "Q4_0" : type;
      expect([name, again.tensors.get(name)?.type]).toEqual([name, expected]);
    }
    expect(again.metadata["general.file_type"]).toBe(2);
  });
});

test("types of tensors: rows that are no super-blocks, the head, vectors and positions; a type that is not written", () => {
  const at = (name: string, ...shape: number[]) => ({ name, shape });
  const cases = [
    ["Q4_K", at("blk.0.attn_q.weight", 8, 256), "Q4_K"],
    ["Q4_K", at("blk.0.attn_q.weight", 8, 96), "Q5_0"],
    ["Q5_K", at("blk.0.attn_q.weight", 8, 96), "Q5_1"],
    ["Q6_K", at("blk.0.attn_q.weight", 8, 96), "Q8_0"],
    ["Q4_0", at("blk.0.attn_q.weight", 8, 40), "F16"],
    ["Q4_0", at("output.weight", 8, 256), "Q6_K"],
    ["Q4_0", at("output.weight", 8, 96), "Q8_0"],
    ["Q4_K", at("output.weight", 8, 96), "Q8_0"],
    ["Q8_0", at("output.weight", 8, 256), "Q8_0"],
    ["Q4_0", at("token_embd.weight", 8, 256), "Q4_0"],
    ["Q4_0", at("position_embd.weight", 8, 256), "F32"],
    ["Q4_0", at("output_norm.weight", 256), "F32"],
  ] as const;
  for (const [type, tensor, expected] of cases)
    expect([type, tensor, typeIn(type, tensor, "output.weight")]).toEqual([type, tensor, expected]);
  const inBlocks = { ...at("blk.0.attn_q.weight", 8, 256), type: "Q6_K" } as const;
  expect(unchangedType("Q4_0", inBlocks, undefined)).toBeUndefined();
  expect(unchangedType("Q8_0", inBlocks, undefined)).toBe("Q8_0");
  expect(() => typeOfBase({ ...inBlocks, type: "IQ4_XS" })).toThrow(
    "blk.0.attn_q.weight is stored as IQ4_XS, which is read here and not written: the merged weights cannot be like the base's. Name a type: --dtype q4_k",
  );
});
