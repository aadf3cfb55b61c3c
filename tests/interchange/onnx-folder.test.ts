import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { AutoModelForCausalLM, env, type PreTrainedModel, Tensor } from "@huggingface/transformers";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { createRoundingMeter, type RoundingMeter } from "../../src/lora/merge-rounding.js";
import type { StoredWeight } from "../../src/runtime/emit.js";
import { architectures } from "../models/architectures.js";
import { type ArchitectureGolden, loadArchitecture } from "../support/architecture.js";
import { relativeError } from "../support/compare.js";
import { greedyTokens } from "../support/greedy.js";
import { onnxFolderOf } from "../support/onnx-folder.js";
import { sequenceLogits } from "../support/sequence-logits.js";
import { batchOf, type GoldenBatch } from "../support/tiny-model.js";

// Folders of `merge --to onnx` in transformers.js itself, of every decoder: PEFT's logits, and the tokens that Lorikeet writes with the
// adapter beside its base.

env.allowRemoteModels = false;

/** As for Lorikeet's own programs: what the library promises. transformers and PEFT in fp32 lie within 3e-6 of fp64. */
const TOLERANCE = 1e-4;
/** Of q8 when its inputs are rounded to 16 bits: a step is 2⁻¹⁶ of a row's range, and two blocks of layers lie one behind another. */
const SIXTEEN_BITS = 1e-3;
/** What rounding does to weights: 8 bits with a scale for each row, 4 bits with one for each 32. Normal ones lose 0.6 % in rows of 32 and 7.8 %. */
const ROUNDING = { q8: 0.012, q4: 0.09 };

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(dirname(folder), { recursive: true, force: true });
});

const int64 = (rows: readonly (readonly number[])[]) =>
  new Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]?.length ?? 0]);
const fed = ({ input_ids, attention_mask }: GoldenBatch) => ({ input_ids: int64(input_ids), attention_mask: int64(attention_mask) });

async function load(...request: Parameters<typeof onnxFolderOf>): Promise<PreTrainedModel> {
  const folder = await onnxFolderOf(...request);
  folders.push(folder);
  return AutoModelForCausalLM.from_pretrained(folder);
}

/** Logits of the tokens that are no padding. */
function realRows(logits: Float32Array, mask: GoldenBatch["attention_mask"]): number[] {
  const width = logits.length / mask.flat().length;
  return mask.flat().flatMap((real, row) => (real === 1 ? [...logits.subarray(row * width, (row + 1) * width)] : []));
}

describe.each(architectures)("%s", (name) => {
  let it: ArchitectureGolden;
  beforeAll(async () => {
    it = await loadArchitecture(name);
  });

  // Proves onnx-folder out: PEFT's logits in transformers.js, padded on either side, and Lorikeet's greedy tokens, for every decoder
  test("f32: PEFT's logits, padded on the right and on the left, and the greedy tokens of Lorikeet", async () => {
    // The weights of one lie in several files beside it.
    const model = await load(it, "f32", name === "qwen2" ? { inlineBytes: 0, maxFileBytes: 20_000 } : {});
    const [right] = it.facts.batches;
    const want = realRows(await it.golden.readFloat32("adapted.logits"), right.attention_mask);
    for (const batch of [right, it.facts.paddedLeft]) {
      const { logits } = await model(fed(batch));
      expect(relativeError(realRows(logits.data, batch.attention_mask), want)).toBeLessThan(TOLERANCE);
    }
    // Where LongRoPE turns short texts otherwise, the longest of a batch decides there: the longest alone.
    const left = it.model.dimensions.shortContext === undefined ? it.facts.paddedLeft : firstOf(it.facts.paddedLeft);
    const count = 8;
    const sequences = await model.generate({ ...fed(left), max_new_tokens: count, do_sample: false, eos_token_id: -1 });
    const got = (sequences as Tensor).tolist().map((row: bigint[]) => row.slice(-count).map(Number));
    const texts = left.input_ids.map((ids, b) => ids.filter((_, t) => left.attention_mask[b]?.[t] === 1));
    const adapter = { layout: it.layout, vector: it.adapter };
    expect(got).toEqual(await greedyTokens({ model: it.model, adapter, compile: await it.compile() }, texts, count));
  });

  test.each(["q8", "q4"] as const)(
    "%s: the logits of the weights that its codes stand for, which are near the merged ones",
    async (type) => {
      const written = new Map<string, Uint8Array>();
      const meter = createRoundingMeter();
      const rounded: RoundingMeter["rounded"] = (kind, values, weight, codes) => {
        written.set(weight, new Uint8Array(codes.slice().buffer));
        meter.rounded(kind, values, weight, codes);
      };
      const model = await load(it, type, { meter: { ...meter, rounded } });
      const batch = it.facts.paddedLeft;
      const { logits } = await model(fed(batch));
      const base = await it.compile();
      const decoded = (weight: string): StoredWeight => {
        const data = written.get(weight);
        return data === undefined ? base.weights(weight) : { dtype: "float32", shape: base.weights(weight).shape, data };
      };
      const want = await sequenceLogits(it.model, batchOf(batch), { ...base, weights: decoded });
      expect(relativeError(realRows(logits.data, batch.attention_mask), realRows(want, batch.attention_mask))).toBeLessThan(
        type === "q4" ? TOLERANCE : SIXTEEN_BITS,
      );
      const { ofWeights } = meter.result();
      expect(ofWeights).toBeGreaterThan(0);
      expect(ofWeights).toBeLessThan(ROUNDING[type]);
      console.info(`${name} ${type}: rounding moved the merged weights by ${(100 * ofWeights).toFixed(2)} %`);
    },
  );
});

const firstOf = ({ input_ids, attention_mask, labels }: GoldenBatch): GoldenBatch => ({
  input_ids: input_ids.slice(0, 1),
  attention_mask: attention_mask.slice(0, 1),
  labels: labels.slice(0, 1),
});
