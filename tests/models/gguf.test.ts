import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LanguageModelGraph } from "../../src/models/architecture.js";
import { readLanguageModel } from "../../src/models/index.js";
import type { TextCodec } from "../../src/text/tokenizer.js";
import type { GgufModel } from "../../src/weights/gguf.js";
import { openGguf } from "../../src/weights/node/open-checkpoint.js";
import { compileWithWeights, type Device } from "../../src/workflows/node/model-weights.js";
import { relativeError } from "../support/compare.js";
import { ggufFacts, ggufGolden, ggufNames, ggufPath } from "../support/gguf-golden.js";
import { sequenceLogits } from "../support/sequence-logits.js";
import { batchOf } from "../support/tiny-model.js";
import { floats } from "../weights/golden.js";

/** What the library promises. */
const TOLERANCE = 1e-4;
/** llama.cpp looks GELU up in a table of half-precision numbers: transformers' logits are as far from its own. */
const GELU_TABLE = 2e-3;
/** Rounding to 8 bits moves the logits of such small models by less than a tenth; rows in another order by more than a half. */
const EIGHT_BITS = 0.1;

const cache = mkdtempSync(join(tmpdir(), "lorikeet-gguf-"));
beforeAll(() => {
  process.env.LORIKEET_CACHE = cache;
});
afterAll(() => rmSync(cache, { recursive: true }));

// Proves gguf-model in: logits of transformers and of llama.cpp, for every decoder
describe.each(ggufNames)("a GGUF of %s", (name) => {
  const { architecture, logits, llamaCpp } = ggufFacts(name);
  const want = floats(logits);
  let gguf: GgufModel;
  let model: LanguageModelGraph;
  beforeAll(async () => {
    gguf = await openGguf(ggufPath(name));
    model = readLanguageModel(gguf.config);
  });

  const compute = async (precision?: Device["precision"]): Promise<Float32Array> => {
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
    const compile = await compileWithWeights(described, { target: "cpu", threads: 1, precision }, {});
    const input_ids = [ggufGolden.ids];
    const batch = batchOf({ input_ids, attention_mask: input_ids.map((row) => row.map(() => 1)), labels: input_ids });
    return await sequenceLogits(model, batch, compile);
  };

  test("has transformers' logits", async () => {
    expect(relativeError(await compute(), want)).toBeLessThan(TOLERANCE);
  });

  if (llamaCpp !== undefined) {
    test("has llama.cpp's logits", async () => {
      const tolerance = /^(?:gemma|gpt2)/.test(architecture) ? GELU_TABLE : TOLERANCE;
      expect(relativeError(await compute(), floats(llamaCpp))).toBeLessThan(tolerance);
    });
  }

  if (!name.endsWith("-quantised")) return;

  test("has them in 4 bits too: these are the file's numbers", async () => {
    const got = await compute("4bit");
    // GPT-2's table of positions is in float32 there, and is rounded.
    expect(relativeError(got, want)).toBeLessThan(architecture === "gpt2" ? EIGHT_BITS : TOLERANCE);
  });

  test("has nearly these in int8", async () => {
    const error = relativeError(await compute("int8"), want);
    expect(error).toBeLessThan(EIGHT_BITS);
    expect(error).toBeGreaterThan(TOLERANCE); // or it was not in int8
  });
});
