import { createHash } from "node:crypto";
import { cp, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { EvaluationResult } from "../../src/workflows/api.js";
import { runEvaluation } from "../../src/workflows/node/evaluation-run.js";
import { runMerge } from "../../src/workflows/node/merge-run.js";
import { prepareRun } from "../../src/workflows/node/training/prepare.js";
import { inCode, parseOptions, trainSet } from "../../src/workflows/options.js";
import { fakeContext, jsonlFile, TINY_CHAT, temporaryFolder } from "./support.js";
import { questionsFile, runHere } from "./training-support.js";

/** A copy of the small model, which a test may spoil. */
async function modelCopy(): Promise<string> {
  const model = join(await temporaryFolder(), "model");
  await cp(TINY_CHAT, model, { recursive: true });
  return model;
}

const weightsOf = (model: string) => join(model, "model.safetensors");
const hashOf = async (path: string) =>
  createHash("sha256")
    .update(await readFile(path))
    .digest("hex");

describe("training changes the adapter alone", () => {
  const numbers = ({ comparisons, samples }: EvaluationResult, side: "base" | "adapted") => ({
    measures: comparisons.map((comparison) => [comparison.metric, comparison[side]]),
    answers: samples.map(({ before, after }) => (side === "base" ? before : after)),
  });

  test("the file's bytes, and what the model says without the adapter", async () => {
    const model = await modelCopy();
    const data = await questionsFile();
    const out = join(await temporaryFolder(), "run");
    const questions = await jsonlFile([0, 1, 2].map((row) => ({ prompt: `number ${row}`, completion: `${row} and ${row}` })));
    const measured = (adapter?: string) =>
      runEvaluation(
        { model, data: questions, general: false, maxNewTokens: 8, threads: 1, ...(adapter === undefined ? {} : { adapter }) },
        fakeContext(),
      );
    const [bytes, base] = [await hashOf(weightsOf(model)), await measured()];

    await runHere({ model, data, out, steps: 8, lr: 0.02, threads: 1, report: false });

    expect(await hashOf(weightsOf(model))).toBe(bytes);
    const after = await measured(join(out, "adapter"));
    expect(numbers(after, "base")).toEqual(numbers(base, "base")); // to the last bit
    const loss = after.comparisons.find(({ metric }) => metric === "loss");
    expect(loss?.adapted).toBeLessThan((loss?.base ?? 0) - 0.1);

    // The same measures notice one weight in the file that is not what it was.
    const file = await open(weightsOf(model), "r+");
    const { size } = await file.stat();
    await file.write(Float32Array.of(3), 0, 4, size - 4);
    await file.close();
    expect(await hashOf(weightsOf(model))).not.toBe(bytes);
    expect(numbers(await measured(), "base")).not.toEqual(numbers(base, "base"));
  });
});

describe("the model that a checkpoint belongs to", () => {
  async function identified(model: string, data: string): Promise<unknown> {
    const settings = parseOptions(trainSet, { model, data, out: join(await temporaryFolder(), "run") }, inCode);
    return (await prepareRun(settings, {})).identity.run.model;
  }

  test("is told from another fine-tuning of the same base, and known again in another place", async () => {
    const data = await questionsFile();
    const out = join(await temporaryFolder(), "merged");
    await runMerge({ model: TINY_CHAT, adapter: join(TINY_CHAT, "adapter"), out }, fakeContext());
    const [base, tuned] = [await identified(TINY_CHAT, data), await identified(out, data)];
    expect(tuned).not.toBe(base);
    expect(await identified(await modelCopy(), data)).toBe(base);
  });

  test("a run is not resumed over another fine-tuning", async () => {
    const data = await questionsFile();
    const tuned = join(await temporaryFolder(), "merged");
    await runMerge({ model: TINY_CHAT, adapter: join(TINY_CHAT, "adapter"), out: tuned }, fakeContext());
    const options = { model: TINY_CHAT, data, out: join(await temporaryFolder(), "run"), steps: 1, report: false };
    await runHere(options);
    await expect(runHere({ ...options, model: tuned, resume: true })).rejects.toThrow(/holds another run; .*\n {2}model was "/);
  });
});
