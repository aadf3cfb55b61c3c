import { beforeAll, describe, expect, test } from "vitest";
import { relativeError } from "../support/compare.js";
import { type EncoderGolden, loadEncoder, statesOf } from "../support/encoder.js";
import { encoders } from "./architectures.js";

// What every encoder keeps, on a tiny model of it, against what transformers and PEFT made of that model.

/** transformers and PEFT in fp32 lie within 3e-6 of fp64; what the library promises is 1e-4. */
const TOLERANCE = 1e-4;

describe.each(encoders)("%s", (name) => {
  let it: EncoderGolden;
  beforeAll(async () => {
    it = await loadEncoder(name);
  });

  test("the model and its head list every weight that the checkpoint holds, in the shape it has there", () => {
    const head = it.model.classificationHead("sequence", 3);
    const listed = [...it.model.weights, ...head.weights, ...head.parameters.map(({ name, shape }) => [name, shape] as const)];
    const shapes = [...it.checkpoint.tensors.values()].map((tensor) => [tensor.name, tensor.shape] as const);
    expect(Object.fromEntries(listed.map(([weight, shape]) => [weight, [...shape]]))).toEqual(Object.fromEntries(shapes));
  });

  test.each([
    ["whole", undefined],
    ["queries in 4 chunks", 512],
  ])("hidden states of texts padded on the right and on the left, %s", async (_parts, maxTokens) => {
    const want = await it.golden.readFloat32("hidden");
    for (const texts of [it.facts.batches[0], it.facts.paddedLeft]) {
      expect(relativeError(await statesOf(it.model, texts, await it.compile(), maxTokens), want)).toBeLessThan(TOLERANCE);
    }
  });
});
