import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { layerOf } from "../../src/interchange/loralib/layer-parts.js";
import { placeNamed } from "../../src/interchange/loralib/place-named.js";
import { vectorFromAdapter } from "../../src/lora/adapter.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { readLanguageModel } from "../../src/models/index.js";
import { mapWeights } from "../../src/weights/node/mapped-weights.js";
import { runConvert } from "../../src/workflows/node/convert-run.js";
import { compileOptions } from "../../src/workflows/node/model-weights.js";
import { describeWeights } from "../../src/workflows/node/open-model.js";
import { relativeError } from "../support/compare.js";
import { golden, goldenPath } from "../support/golden.js";
import { sequenceLogits } from "../support/sequence-logits.js";
import { batchOf } from "../support/tiny-model.js";
import { fakeContext, temporaryFolder } from "../workflows/support.js";

// loralib's own layers stood in these models and gave these logits (tests/golden/loralib.py).
interface Facts {
  readonly model: string;
  readonly alpha: number;
  readonly ids: readonly number[];
  readonly logits: string;
  readonly enableLora?: string;
}
const facts = golden<Record<string, Facts>>("loralib/logits.json");
const fileOf = (name: string) => goldenPath(`loralib/${name}`);

async function logitsOf(model: string, adapterFolder: string, ids: readonly number[]): Promise<Float32Array> {
  const described = await describeWeights(readLanguageModel, model);
  const mapped = await mapWeights(described.checkpoint, { cacheFolder: await temporaryFolder() });
  const { layout, vector } = vectorFromAdapter(await readAdapterFolder(adapterFolder), described.model);
  const row = [...ids];
  const batch = batchOf({ input_ids: [row], attention_mask: [row.map(() => 1)], labels: [row] });
  return sequenceLogits(described.model, batch, compileOptions(mapped, { target: "cpu", threads: 1 }), { layout, adapter: vector });
}

describe("a checkpoint of loralib", () => {
  // Proves loralib in: loralib's logits: Linear, MergedLinear with some parts and all, Embedding, and biases
  test.each(Object.entries(facts))("%s gives loralib's logits", async (name, { model, alpha, ids, logits, enableLora }) => {
    const out = join(await temporaryFolder(), "out");
    const options = { adapter: fileOf(name), model: goldenPath(model), alpha, out };
    await runConvert({ ...options, ...(enableLora === undefined ? {} : { enableLora }) }, fakeContext());
    const bytes = Buffer.from(logits, "base64");
    const want = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    expect(relativeError(await logitsOf(goldenPath(model), out, ids), want)).toBeLessThan(1e-4);
  });

  test("keeps rank, alpha and what was trained of the biases", async () => {
    const config = async (name: string) => {
      const out = join(await temporaryFolder(), "out");
      const { model, alpha, enableLora } = facts[name]!;
      const options = { adapter: fileOf(name), model: goldenPath(model), alpha, out };
      await runConvert({ ...options, ...(enableLora === undefined ? {} : { enableLora }) }, fakeContext());
      return (await readAdapterFolder(out)).config;
    };
    expect(await config("llama.pt")).toMatchObject({ rank: 4, alpha: 8, rankPattern: {}, alphaPattern: {}, bias: "none" });
    expect(await config("gpt2-biases.pt")).toMatchObject({ rank: 6, alpha: 12, bias: "all" });
    expect(await config("gpt2-table.pt")).toMatchObject({ rank: 2, alpha: 3, bias: "lora_only" });
  });

  const llama = goldenPath("tiny-llama");
  const gpt2 = goldenPath("gpt2");
  test.each<[string, string, Record<string, unknown>, RegExp]>([
    ["without alpha", "llama.pt", { model: llama }, /holds neither its model nor its alpha: give --model, and --alpha/],
    [
      "of another model",
      "llama.pt",
      { model: gpt2, alpha: 8 },
      /model\.layers\.0\.self_attn\.q_proj: the model has no such layer \(nearest: /,
    ],
    ["without the parts", "gpt2-merged.pt", { model: gpt2, alpha: 6 }, /c_attn: .*2 of its 3 parts are adapted.*--enable-lora/s],
    ["with too few parts", "gpt2-merged.pt", { model: gpt2, alpha: 6, enableLora: "true,false,false" }, /\(true,false,false is given\)/],
    ["with no list of parts", "gpt2-merged.pt", { model: gpt2, alpha: 6, enableLora: "q,v" }, /--enable-lora: expected true or false/],
    ["of a convolution", "convolution.pt", { model: gpt2, alpha: 2 }, /convolutions are not adapted here/],
  ])("%s is refused in words", async (_what, file, options, message) => {
    const out = join(await temporaryFolder(), "out");
    await expect(runConvert({ adapter: fileOf(file), out, ...options }, fakeContext())).rejects.toThrow(message);
  });

  test("cut short, a whole model, no file at all, and a folder with an alpha are refused in words", async () => {
    const folder = await temporaryFolder();
    const convert = (adapter: string, model = llama) => runConvert({ adapter, model, alpha: 8, out: join(folder, "out") }, fakeContext());
    const cut = join(folder, "cut.pt");
    await writeFile(cut, (await readFile(fileOf("llama.pt"))).subarray(0, 4000));
    await expect(convert(cut)).rejects.toThrow(/cut\.pt is no file of PyTorch that can be read/);
    await expect(convert(goldenPath("torch/tensors.bin"))).rejects.toThrow(/save lora\.lora_state_dict\(model\), not the whole model/);
    await expect(convert(join(folder, "none.pt"))).rejects.toThrow(/none\.pt/);
    await expect(convert(goldenPath("tiny-llama/adapter"))).rejects.toThrow(/--alpha belongs to a checkpoint of loralib/);
  });
});

test("ranks that contradict each other are told with their shapes", () => {
  const layer = { name: "l", inputs: 3, outputs: 6 };
  const pair = (rows: [number, number], columns: [number, number]) => ({
    a: new Float32Array(rows[0] * rows[1]),
    b: new Float32Array(columns[0] * columns[1]),
    shapeOfA: rows,
    shapeOfB: columns,
  });
  const said = (rows: [number, number], columns: [number, number]) => layerOf(pair(rows, columns), layer, { alpha: 1, enable: undefined });
  expect(said([3, 3], [6, 2])).toMatch("lora_A is [3, 3] and lora_B [6, 2]");
  expect(said([2, 4], [6, 2])).toMatch("a layer of 6 × 3 needs [r, 3] and [6, r]");
  expect(said([2, 3], [5, 2])).toMatch("no parts of a layer with 6 outputs");
});

test("layers are found by the end of their path, where it means one", () => {
  const places = ["transformer.h.0.attn.c_attn", "transformer.h.1.attn.c_attn", "transformer.wte"];
  expect(placeNamed("transformer.h.0.attn.c_attn", places)).toBe(places[0]);
  expect(placeNamed("module.gpt.h.1.attn.c_attn", places)).toBe(places[1]);
  expect(placeNamed("h.1.attn.c_attn", places)).toBe(places[1]);
  expect(placeNamed("attn.c_attn", places)).toBeUndefined();
  expect(placeNamed("h.2.attn.c_attn", places)).toBeUndefined();
});
