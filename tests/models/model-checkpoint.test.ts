import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CheckpointForm, LinearLayer } from "../../src/models/architecture.js";
import { readModel } from "../../src/models/index.js";
import { modelCheckpoint } from "../../src/models/model-checkpoint.js";
import { type Checkpoint, readStoredSlabs, readStoredTensor } from "../../src/weights/checkpoint.js";
import { mapWeights } from "../../src/weights/node/mapped-weights.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { type TensorToWrite, writeSafetensors } from "../../src/weights/node/write-safetensors.js";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "model-checkpoint-"));
});
afterAll(() => rm(scratch, { recursive: true }));

const layer: LinearLayer = { name: "transformer.h.0.attn.c_attn", inputs: 2, outputs: 3, hasBias: true, isConv1D: true };
const form: CheckpointForm = { prefixes: [["transformer.", ""]], constants: /(^|\.)h\.\d+\.attn\.(masked_)?bias$/ };
const model = {
  weights: new Map<string, readonly number[]>([
    ["transformer.wte.weight", [2, 2]],
    ["transformer.h.0.attn.c_attn.weight", [3, 2]],
    ["transformer.h.0.attn.c_attn.bias", [3]],
  ]),
  linearGroups: [[layer]],
  checkpointForm: form,
};

const float = (name: string, shape: readonly number[], ...values: number[]): TensorToWrite => ({
  name,
  dtype: "F32",
  shape,
  data: () => Float32Array.from(values),
});

/** A file as the Hub has GPT-2: [in, out] matrices, buffers of the mask, and one tensor that nobody knows. */
async function written(prefix: string, matrix: TensorToWrite): Promise<Checkpoint> {
  const path = join(scratch, `${prefix}${matrix.dtype}.safetensors`);
  await writeSafetensors(path, [
    float(`${prefix}wte.weight`, [2, 2], 10, 11, 12, 13),
    { ...matrix, name: `${prefix}h.0.attn.c_attn.weight` },
    float(`${prefix}h.0.attn.c_attn.bias`, [3], 7, 8, 9),
    float(`${prefix}h.0.attn.bias`, [1, 1, 1, 1], 1),
    { name: `${prefix}h.0.attn.masked_bias`, dtype: "U8", shape: [1], data: () => Uint8Array.of(1) },
    float("other.weight", [1], 5),
  ]);
  return openSafetensorsFile(path);
}

const matrix = float("", [2, 3], 1, 2, 3, 4, 5, 6);
const turned = [1, 4, 2, 5, 3, 6];

describe("a checkpoint in transformers' form", () => {
  test.each(["", "bert."])("has a norm's parameters where its file names them as TensorFlow did, with the prefix %j", async (prefix) => {
    const path = join(scratch, `norm-${prefix}.safetensors`);
    const norm = `${prefix}embeddings.LayerNorm`;
    await writeSafetensors(path, [float(`${norm}.gamma`, [1], 2), float(`${norm}.beta`, [1], 3), float("cls.bias", [1], 4)]);
    const bert = readModel({
      model_type: "bert",
      vocab_size: 1,
      hidden_size: 1,
      num_attention_heads: 1,
      num_hidden_layers: 1,
      intermediate_size: 1,
    });
    const checkpoint = modelCheckpoint(await openSafetensorsFile(path), bert);
    expect(await checkpoint.readFloat32("bert.embeddings.LayerNorm.weight")).toEqual(Float32Array.of(2));
    expect(await checkpoint.readFloat32("bert.embeddings.LayerNorm.bias")).toEqual(Float32Array.of(3));
    expect(checkpoint.tensors.has("cls.bias")).toBe(true);
  });

  test.each(["", "transformer."])("has the model's names where its file has the prefix %j", async (prefix) => {
    const stored = await written(prefix, matrix);
    expect(stored.unreadable.size).toBe(1);
    const checkpoint = modelCheckpoint(stored, model);
    expect([...checkpoint.tensors.keys()].sort()).toEqual(["other.weight", ...model.weights.keys()].sort());
    for (const [name, shape] of model.weights) expect(checkpoint.tensors.get(name)?.shape).toEqual(shape);
    expect(checkpoint.unreadable.size).toBe(0);
    expect([...(await checkpoint.readFloat32("transformer.h.0.attn.c_attn.weight"))]).toEqual(turned);
    expect([...(await checkpoint.readFloat32("transformer.wte.weight"))]).toEqual([10, 11, 12, 13]);
  });

  test("leaves names that the model does not read, and says of a weight that it is in a type that is not read", async () => {
    const path = join(scratch, "unreadable.safetensors");
    await writeSafetensors(path, [{ name: "wte.weight", dtype: "I8", shape: [2, 2], data: () => new Int8Array(4) }]);
    const checkpoint = modelCheckpoint(await openSafetensorsFile(path), model);
    expect([...checkpoint.unreadable]).toEqual([["transformer.wte.weight", "I8"]]);
  });
});

describe("a matrix of Conv1D", () => {
  test.each([1, 2, 3, 4, 100])("is turned in slabs of %i weights", async (slab) => {
    const stored = (await written("", matrix)).tensors.get("h.0.attn.c_attn.weight");
    if (stored === undefined) throw new Error("the file lacks its matrix");
    const values: number[] = [];
    for await (const { bytes } of readStoredSlabs({ ...stored, shape: [3, 2], isTransposed: true }, slab)) {
      values.push(...new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4));
    }
    expect(values).toEqual(turned);
  });

  test("in 16 bits keeps its values", async () => {
    const bits = Uint16Array.from([0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0]); // 1 to 6 in bfloat16
    const stored = await written("transformer.", { name: "", dtype: "BF16", shape: [2, 3], data: () => bits });
    const tensor = modelCheckpoint(stored, model).tensors.get("transformer.h.0.attn.c_attn.weight");
    if (tensor === undefined) throw new Error("the checkpoint lacks its matrix");
    expect([...(await readStoredTensor(tensor))]).toEqual(turned);
  });

  test("is written into the cache once, with all that the model reads and no more", async () => {
    const cacheFolder = join(scratch, "cache");
    const checkpoint = modelCheckpoint(await written("", matrix), model);
    const mapped = await mapWeights(checkpoint, { cacheFolder, names: model.weights.keys() });
    expect([...mapped.keys()]).toEqual([...model.weights.keys()]);
    const place = mapped.get("transformer.h.0.attn.c_attn.weight");
    if (place === undefined) throw new Error("the matrix is not mapped");
    const cached = await openSafetensorsFile(join(place.folder, place.file));
    expect(place).toMatchObject({ folder: cacheFolder, dtype: "float32", shape: [3, 2] });
    expect([...(await cached.readFloat32(place.name))]).toEqual(turned);
    // The same bytes in the other orientation are another cache file.
    const plain = { ...model, linearGroups: [[{ ...layer, isConv1D: false }]] };
    const other = await mapWeights(modelCheckpoint(await written("", matrix), plain), { cacheFolder, names: model.weights.keys() });
    expect(other.get(place.name)?.folder).not.toBe(cacheFolder);
  });
});
