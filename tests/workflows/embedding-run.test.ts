import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { rankPairs } from "../../src/evaluation/pair-ranking.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { readFittingAdapter } from "../../src/workflows/node/adapter-place.js";
import { runClassify } from "../../src/workflows/node/classify-run.js";
import { runEmbed } from "../../src/workflows/node/embed-run.js";
import { runEvaluation } from "../../src/workflows/node/evaluation-run.js";
import { runMerge } from "../../src/workflows/node/merge-run.js";
import { describeModel } from "../../src/workflows/node/open-model.js";
import { relativeError } from "../support/compare.js";
import { fakeContext, jsonlFile, TINY_CHAT, temporaryFolder } from "./support.js";
import { ofType, runHere } from "./training-support.js";

// Whole runs with pairs on a tiny decoder: an anchor and its positive are made of one letter each, which a few updates show.

const options = { model: TINY_CHAT, task: "embedding", steps: 40, batchSize: 6, lr: 2e-2, threads: 1, rank: 4, precision: "fp32" };

const [anchors, positives] = ["abcdef", "mnopqr"]; // one text is never both
const pairs = (count: number) =>
  Array.from({ length: count }, (_, row) => {
    const [at, again] = [row % anchors.length, 2 + Math.floor(row / anchors.length)];
    return { anchor: anchors[at]!.repeat(again), positive: positives[at]!.repeat(again) };
  });

async function trained(more: Readonly<Record<string, unknown>> = {}, watch: Parameters<typeof runHere>[1] = {}) {
  const out = join(await temporaryFolder(), "run");
  const rows = pairs(48);
  const request = { ...options, data: await jsonlFile(rows), valid: await jsonlFile(rows.slice(0, 6)), out, ...more };
  return { out, request, events: await runHere(request, watch) };
}

const folderBytes = (out: string) => readFile(join(out, "last", "adapter_model.safetensors"));

describe("training with pairs", () => {
  test("anchors find their positives; embed reads the folder, and its cosines are those that were measured", {
    timeout: 120_000,
  }, async () => {
    const { out, events } = await trained();
    const { ranking, target } = ofType(events, "done")[0]!;
    expect(ranking?.after).toMatchObject({ anchors: 6, positives: 6 });
    expect(ranking?.after.accuracy).toBeGreaterThan((ranking?.before.accuracy ?? 1) + 0.3);
    expect(ranking?.after.meanReciprocalRank).toBeGreaterThan(ranking?.before.meanReciprocalRank ?? 1);
    expect(target).toEqual({ before: ranking?.before.accuracy, after: ranking?.after.accuracy });
    const best = ofType(events, "evaluation").reduce((least, each) => (each.loss < least.loss ? each : least));
    expect(best.loss).toBeCloseTo(ranking?.after.loss ?? Number.NaN, 5);
    expect(best.metrics?.accuracy).toBe(ranking?.after.accuracy);

    const { config, layers } = await readAdapterFolder(join(out, "adapter"));
    expect(config.taskType).toBe("FEATURE_EXTRACTION");
    expect(layers.map(({ name }) => name)).toContain("layers.0.self_attn.q_proj"); // as an AutoModel has it

    const nearest = async (adapter?: string) => {
      const text = pairs(6).flatMap(({ anchor, positive }) => [anchor, positive]);
      const { vectors } = await runEmbed(
        { model: TINY_CHAT, threads: 1, text, ...(adapter === undefined ? {} : { adapter }) },
        fakeContext(),
      );
      const cosine = (a: Float32Array, b: Float32Array) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
      const right = Array.from({ length: 6 }, (_, own) => {
        const scores = Array.from({ length: 6 }, (_, other) => cosine(vectors[2 * own]!, vectors[2 * other + 1]!));
        return Number(scores.indexOf(Math.max(...scores)) === own);
      });
      return right.reduce((sum, one) => sum + one, 0) / 6;
    };
    expect(await nearest(out)).toBeCloseTo(ranking?.after.accuracy ?? Number.NaN, 12);
    expect(await nearest()).toBeCloseTo(ranking?.before.accuracy ?? Number.NaN, 12);
  });

  test.each(["dora", "lora-fa", "olora"])("%s: embed and eval see the adapter that was trained", { timeout: 120_000 }, async (method) => {
    const { out, request, events } = await trained({ method, steps: 6 });
    const { ranking } = ofType(events, "done")[0]!;
    const { comparisons } = await runEvaluation({ model: TINY_CHAT, adapter: out, data: request.valid, precision: "fp32" }, fakeContext());
    const loss = comparisons.find(({ metric }) => metric === "loss");
    expect(loss?.base).toBeCloseTo(ranking?.before.loss ?? Number.NaN, 3);
    expect(loss?.adapted).toBeCloseTo(ranking?.after.loss ?? Number.NaN, 3);
    const text = pairs(6).flatMap(({ anchor, positive }) => [anchor, positive]);
    const { vectors } = await runEmbed({ model: TINY_CHAT, threads: 1, text, adapter: out }, fakeContext());
    const unit = vectors.map((vector) => vector.map((value) => value / Math.sqrt(dot(vector, vector))));
    const embedded = Array.from({ length: 6 }, (_, at) => ({
      anchor: { key: `a${at}`, vector: unit[2 * at]! },
      positive: { key: `p${at}`, vector: unit[2 * at + 1]! },
    }));
    expect(rankPairs(embedded, 20).ranking.loss).toBeCloseTo(ranking?.after.loss ?? Number.NaN, 3);
  });

  test("eval ranks pairs without an adapter too, shows what anchors find, and refuses what does not fit together", {
    timeout: 120_000,
  }, async () => {
    const { out, request, events } = await trained();
    const { ranking } = ofType(events, "done")[0]!;
    const asked = { model: TINY_CHAT, data: request.valid, precision: "fp32" };
    const base = await runEvaluation(asked, fakeContext());
    expect(base.comparisons.map(({ metric, unit, n, adapted }) => [metric, unit, n, adapted])).toEqual([
      ["loss", "nats", 6, undefined],
      ["accuracy@1", "share", 6, undefined],
      ["mean reciprocal rank", "score", 6, undefined],
    ]);
    const both = await runEvaluation({ ...asked, adapter: out }, fakeContext());
    const [, accuracy, rank] = both.comparisons;
    expect(accuracy).toMatchObject({ base: ranking?.before.accuracy, adapted: ranking?.after.accuracy, change: { n: 6 } });
    expect(rank?.adapted).toBeCloseTo(ranking?.after.meanReciprocalRank ?? Number.NaN, 12);
    expect(both.samples[0]).toMatchObject({ prompt: expect.stringMatching(/^[a-f]/), expected: expect.stringMatching(/^[m-r]/) });
    expect(both.samples[0]?.after).toBe(both.samples[0]?.expected);
    expect(both.sentence).toContain("of 6 anchors find a positive of their own first among 6 (");
    expect(structuredClone(both)).toEqual(both);
    const answers = await jsonlFile([{ prompt: "a", completion: "b" }]);
    await expect(runEvaluation({ ...asked, adapter: out, data: answers }, fakeContext())).rejects.toThrow(
      `${out} turns texts into vectors, and is measured on rows with "anchor" and "positive"; 1 of 1 rows are others.`,
    );
    await expect(runEvaluation({ ...asked, adapter: join(TINY_CHAT, "adapter") }, fakeContext())).rejects.toThrow(
      'rows with "anchor" and "positive" measure models and adapters that turn texts into vectors',
    );
  });

  test("merge folds the adapter in: the folder embeds as the adapter does; what writes or labels refuses it by name", {
    timeout: 120_000,
  }, async () => {
    const { out } = await trained({ steps: 6, report: false });
    const merged = join(await temporaryFolder(), "merged");
    await runMerge({ model: TINY_CHAT, adapter: out, out: merged, dtype: "f32" }, fakeContext());
    const text = ["aaa", "mm nn"];
    const vectors = async (options: object) => (await runEmbed({ threads: 1, text, ...options }, fakeContext())).vectors;
    const [folded, beside] = [await vectors({ model: merged }), await vectors({ model: TINY_CHAT, adapter: out })];
    for (const [at, vector] of folded.entries()) expect(relativeError(vector, beside[at]!)).toBeLessThan(1e-5);
    await expect(describeModel(TINY_CHAT).then((described) => readFittingAdapter(out, described))).rejects.toThrow(
      `${out} turns texts into vectors and writes none. Ask it with \`lorikeet embed --adapter ${out}\`.`,
    );
    const classified = runClassify({ options: { model: TINY_CHAT, adapter: out }, texts: ["a"] }, fakeContext());
    await expect(classified).rejects.toThrow("it turns texts into vectors. Ask it with `lorikeet embed`.");
  });

  test("a run that is stopped goes on to the very values of one that was not", { timeout: 120_000 }, async () => {
    const few = { steps: 6, report: false, saveEvery: 2, dropout: 0.1 };
    const whole = await trained(few);
    const stop = new AbortController();
    const stopped = await trained(few, {
      signal: stop.signal,
      onEvent: (event) => event.type === "step" && event.step === 3 && stop.abort(),
    });
    expect(ofType(stopped.events, "done")[0]?.reason).toBe("interrupted");
    await runHere({ ...stopped.request, resume: true });
    expect(await folderBytes(stopped.out)).toEqual(await folderBytes(whole.out));
  });

  test("another positive is another run, which is not resumed", { timeout: 60_000 }, async () => {
    const { request } = await trained({ steps: 1, report: false });
    const other = await jsonlFile(pairs(48).map((row) => ({ ...row, positive: row.positive.toUpperCase() })));
    await expect(runHere({ ...request, data: other, resume: true })).rejects.toThrow("holds another run");
  });

  test("what a pair alone would teach is told: it is left out, or too few are refused", { timeout: 60_000 }, async () => {
    const { events } = await trained({ data: await jsonlFile(pairs(13)), steps: 1, report: false });
    const [start] = ofType(events, "start");
    expect(start?.trainExamples).toBe(12);
    expect(start?.notes.join()).toContain("the last pair is left out, since it would be alone in a batch of 6 and teach nothing");
    const one = await jsonlFile(pairs(1));
    await expect(trained({ data: one })).rejects.toThrow(`${one}: 1 pair is left to train on: each is told from the others of its batch.`);
    await expect(trained({ valid: one })).rejects.toThrow(`${one}: 1 pair is left to measure on: each positive is looked for among`);
    const { events: three } = await trained({ data: await jsonlFile(pairs(3)), valid: undefined, steps: 1 });
    expect(ofType(three, "start")[0]).toMatchObject({ trainExamples: 3, validationExamples: 0 });
    expect(ofType(three, "warning").map(({ message }) => message)).toEqual([
      "Nothing was held out, so what was learned cannot be measured. Give pairs of their own with --valid.",
    ]);
  });

  test("small batches that are added up, and batches of one, are refused with the reason and the way out", async () => {
    await expect(trained({ accumulate: 2 })).rejects.toThrow(
      "accumulate is 1 for the task embedding: each pair is told from the others of its batch, so that small batches are another loss; raise options.batchSize",
    );
    await expect(trained({ batchSize: 1 })).rejects.toThrow("a pair that is alone in its batch teaches nothing");
    await expect(trained({ classWeights: "balanced" })).rejects.toThrow("belongs to the tasks classification and token-classification");
  });

  test("negatives of the rows are told to be left out; rows of other tasks are refused by line", { timeout: 60_000 }, async () => {
    const data = await jsonlFile(pairs(12).map((row) => ({ ...row, negative: "zz" })));
    const { events } = await trained({ data, steps: 1, report: false });
    expect(ofType(events, "start")[0]?.notes).toContain(
      `${data}: the negatives of 12 rows are not learned from; those of a pair are the positives of its batch`,
    );
    const labels = await jsonlFile([{ text: "a", label: "b" }]);
    await expect(trained({ data: labels })).rejects.toThrow(`${labels}:1: expected "anchor" and "positive", found "text", "label"`);
  });
});

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
