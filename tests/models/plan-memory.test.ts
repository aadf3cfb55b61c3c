import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { peakBytes, resetPeak } from "../../bench/memory.js";
import { runPlan } from "../../src/workflows/node/plan-run.js";
import { smollm2Path } from "../support/smollm2.js";
import { fakeContext, jsonlFile, temporaryFolder } from "../workflows/support.js";
import { ofType, runHere } from "../workflows/training-support.js";

/** About 250 tokens each, all learned. */
const rows = (count: number) =>
  Array.from({ length: count }, (_, row) => ({ text: Array.from({ length: 80 }, (_, at) => (row * 80 + at) % 977).join(" ") }));

describe.each([
  { precision: "fp32", gradientCheckpointing: "off" },
  { precision: "fp32", gradientCheckpointing: "on" },
  { precision: "int8", gradientCheckpointing: "off" },
])("the memory that plan names for SmolLM2-135M, batches of 4, in $precision, checkpoints $gradientCheckpointing", (choice) => {
  test("is what a run takes that trains and measures, within 15 %", { timeout: 900_000 }, async (context) => {
    const files = { data: await jsonlFile(rows(12)), valid: await jsonlFile(rows(4)) };
    const options = { model: await smollm2Path(), ...files, ...choice, batchSize: 4, maxLength: 256 };
    // Where weights must be converted first, that is not the run's own memory.
    await runPlan(options, fakeContext());
    if (resetPeak() !== "training") return context.skip("the peak of a process cannot be reset here");
    const { memory } = await runPlan(options, fakeContext());
    const run = { ...options, out: join(await temporaryFolder(), "run"), steps: 3, evalEvery: 1, report: false };
    const events = await runHere(run);
    expect(ofType(events, "evaluation")).toHaveLength(3);
    const ratio = peakBytes("training") / memory.total;
    expect(ratio).toBeGreaterThan(0.85);
    expect(ratio).toBeLessThan(1.15);
  });
});
