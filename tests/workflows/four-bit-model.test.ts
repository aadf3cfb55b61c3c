import { expect, test } from "vitest";
import { buildBatch } from "../../src/data/batch.js";
import { buildLayout } from "../../src/lora/layout.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import { openModel } from "../../src/workflows/node/open-model.js";
import { relativeError } from "../support/compare.js";
import { Random } from "../support/random.js";
import { smollm2Path } from "../support/smollm2.js";

/** Held in fewer bits, the numbers are the same, and so is the arithmetic: only its order could differ, in an engine of another version. */
const LAST_BITS = 1e-6;

test("SmolLM2-135M in Q4_1: in 4 bits a step has the loss and the gradients of fp32, and no matrix is in float32", async () => {
  const path = await smollm2Path();
  const steps: { loss: number; gradient: Float32Array }[] = [];
  for (const precision of ["4bit", "fp32"] as const) {
    const { model, codec, compile } = await openModel(path, { target: "cpu", precision });
    if (precision === "4bit") {
      const held = (name: string) => compile.weights(name).blocks?.codes.dtype ?? compile.weights(name).dtype;
      const layers = model.linearGroups.flat().map(({ name }) => `${name}.weight`);
      expect(new Set(layers.map(held))).toEqual(new Set(["uint4"]));
      expect(held(model.head)).toBe("int8"); // Q8_0 in the file
      expect(held("model.norm.weight")).toBe("float32");
    }
    const layout = buildLayout(model.linearGroups.map((group) => group.map((layer) => ({ ...layer, rank: 4, scale: 2 }))));
    const adapter = new Random(7).gaussians(layout.length, 0.02);
    const ids = Int32Array.from(codec.encode("The harbour was quiet in the morning, and the boats lay side by side along the wall."));
    const batch = buildBatch([{ ids, supervised: new Uint8Array(ids.length).fill(1) }]);
    const program = await GradientProgram.compile(nodeEngine, { model, layout, maxTokens: 32 }, compile);
    const gradient = new Float32Array(layout.length);
    const { loss, count } = await program.run(batch, adapter, gradient);
    await program.release();
    steps.push({ loss: loss / count, gradient });
  }
  const [four, exact] = steps;
  expect(exact!.loss).toBeGreaterThan(1);
  expect(Math.abs(four!.loss / exact!.loss - 1)).toBeLessThan(LAST_BITS);
  expect(relativeError(four!.gradient, exact!.gradient)).toBeLessThan(LAST_BITS);
});
