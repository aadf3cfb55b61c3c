import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { writeSafetensors } from "../../src/weights/node/write-safetensors.js";
import type { ClassifyResult } from "../../src/workflows/api.js";
import { readFittingAdapter } from "../../src/workflows/node/adapter-place.js";
import { runClassify } from "../../src/workflows/node/classify-run.js";
import { runEvaluation } from "../../src/workflows/node/evaluation-run.js";
import { runMerge } from "../../src/workflows/node/merge-run.js";
import { describeModel } from "../../src/workflows/node/open-model.js";
import { jsonlFile, TINY_CHAT, temporaryFolder } from "./support.js";
import { ofType, runHere } from "./training-support.js";

// Whole runs of tasks with labels on a tiny model: what is learned is so easy that a few updates show it.

const nobody = { signal: new AbortController().signal, emit: () => {} };
const options = { model: TINY_CHAT, steps: 30, batchSize: 8, lr: 2e-2, threads: 1, rank: 4, precision: "fp32" };
const classify = (request: Readonly<Record<string, unknown>>, texts?: readonly string[]): Promise<ClassifyResult> =>
  runClassify({ options: { model: TINY_CHAT, threads: 1, ...request }, texts }, nobody);

/** Texts of a's and of b's: three in four are of a's. */
const letters = (count: number) =>
  Array.from({ length: count }, (_, row) => ({
    text: (row % 4 === 0 ? "b" : "a").repeat(3 + (row % 7)),
    label: row % 4 === 0 ? "bees" : "ants",
  }));

async function trained(rows: readonly unknown[], more: Readonly<Record<string, unknown>> = {}) {
  const out = join(await temporaryFolder(), "run");
  const events = await runHere({
    ...options,
    data: await jsonlFile(rows),
    valid: await jsonlFile(rows.slice(0, 24)),
    out,
    task: "classification",
    ...more,
  });
  return { out, events };
}

describe("classification", () => {
  test("texts are told apart; the report, the saved head and classify agree", { timeout: 120_000 }, async () => {
    const { out, events } = await trained(letters(64));
    const [report] = ofType(events, "report");
    if (report === undefined || !("kind" in report.report) || report.report.results.kind !== "classes")
      throw new Error("no report of labels");
    const { results, labels } = report.report;
    expect(labels).toEqual(["ants", "bees"]); // sorted
    expect(results.baseline).toBe("ants");
    expect(results.accuracy).toMatchObject({ before: 0.75, after: 1, n: 24 });
    expect(results.confusion).toEqual([
      [18, 0],
      [0, 6],
    ]);
    expect(ofType(events, "evaluation").at(-1)?.metrics).toMatchObject({ accuracy: 1, macroF1: 1, matthews: 1 });
    expect(ofType(events, "done")[0]?.target).toEqual({ before: 0.75, after: 1 });
    expect(await readFile(report.path, "utf8")).toContain("Which label was taken for which");

    const merging = runMerge({ model: TINY_CHAT, adapter: out, out: join(await temporaryFolder(), "merged") }, nobody);
    await expect(merging).rejects.toThrow("has a head for labels, which merging does not fold in");

    const { config, trained: head, labelling } = await readAdapterFolder(join(out, "adapter"));
    expect(config).toMatchObject({ taskType: "SEQ_CLS", trainedModules: ["classifier", "score"] });
    expect(head?.map(({ name }) => name)).toEqual(["score.weight"]);
    expect(labelling).toEqual({ task: "classification", labels: ["ants", "bees"] });

    const told = await classify({ adapter: out }, ["aaaaa", "bbbb"]);
    expect(told.rows).toMatchObject([
      { kind: "label", label: "ants" },
      { kind: "label", label: "bees" },
    ]);
    const file = await classify({ adapter: out, data: await jsonlFile(letters(8)) });
    expect(file.metrics).toMatchObject({ accuracy: 1 });
    expect(file.confusion).toEqual([
      [6, 0],
      [0, 2],
    ]);
    const evaluated = await runEvaluation({ model: TINY_CHAT, adapter: out, data: await jsonlFile(letters(8)) }, nobody);
    expect(evaluated.comparisons).toMatchObject([{ metric: "accuracy", unit: "share", n: 8, base: 0.75, adapted: 1 }]);
    expect(evaluated).toMatchObject({ metrics: file.metrics, confusion: file.confusion, labels: ["ants", "bees"] });
    expect(evaluated.notes).toContain('"Before" is to say the label "ants" always.');
    expect(evaluated.sentence).toContain("8 of 8 held-out labels right");
    const unlabelled = runEvaluation({ model: TINY_CHAT, adapter: out, data: await jsonlFile([{ text: "aaaa" }]) }, nobody);
    await expect(unlabelled).rejects.toThrow(
      "some rows have no label to compare with. Give every row one, or let `lorikeet classify --data`",
    );
    const described = await describeModel(TINY_CHAT);
    await expect(readFittingAdapter(out, described)).rejects.toThrow(
      "score.weight: trained whole, and it labels texts: ask it with `lorikeet classify`",
    );
  });

  test("class weights are in the loss, and the balanced ones weigh as much as there are examples", { timeout: 120_000 }, async () => {
    const first = async (classWeights: string) => {
      const { events } = await trained(letters(64), { steps: 1, batchSize: 64, classWeights, report: false });
      return ofType(events, "step")[0]!;
    };
    const [plain, balanced, given] = [await first("none"), await first("balanced"), await first("bees=0")];
    expect(plain.supervisedTokens).toBe(64);
    expect(balanced.supervisedTokens).toBeCloseTo(64, 4);
    expect(given.supervisedTokens).toBe(48);
    expect(new Set([plain.loss, balanced.loss, given.loss]).size).toBe(3);
  });

  test("a run that is stopped goes on to the very values of one that was not", { timeout: 120_000 }, async () => {
    const whole = await trained(letters(64), { steps: 6, report: false, saveEvery: 2 });
    const stop = new AbortController();
    const out = join(await temporaryFolder(), "run");
    const rows = letters(64);
    const again = {
      ...options,
      task: "classification",
      data: await jsonlFile(rows),
      valid: await jsonlFile(rows.slice(0, 24)),
      out,
      steps: 6,
      report: false,
      saveEvery: 2,
    };
    await runHere(again, { signal: stop.signal, onEvent: (event) => event.type === "step" && event.step === 3 && stop.abort() });
    await runHere({ ...again, resume: true });
    const bytes = (folder: string) => readFile(join(folder, "last", "adapter_model.safetensors"));
    expect(await bytes(out)).toEqual(await bytes(whole.out));
  });

  test("a label that validation alone has is refused by file and line", async () => {
    const valid = await jsonlFile([
      { text: "a", label: "ants" },
      { text: "c", label: "cats" },
    ]);
    const run = runHere({
      ...options,
      out: join(await temporaryFolder(), "run"),
      task: "classification",
      data: await jsonlFile(letters(20)),
      valid,
    });
    await expect(run).rejects.toThrow(`${valid}:2: expected one of the labels "ants", "bees", found "cats"`);
  });

  test("a head that the checkpoint has is trained on where its labels are the data's", { timeout: 120_000 }, async () => {
    const folder = join(await temporaryFolder(), "model");
    await cp(TINY_CHAT, folder, { recursive: true });
    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    await writeFile(join(folder, "config.json"), JSON.stringify({ ...config, id2label: { 0: "bees", 1: "ants" } }));
    const stored = await openSafetensorsFolder(TINY_CHAT);
    const head = Float32Array.from({ length: 2 * config.hidden_size }, (_, index) => Math.sin(index));
    const tensors = [...stored.tensors.values()].map(({ name, shape }) => ({
      name,
      dtype: "F32" as const,
      shape,
      data: () => stored.readFloat32(name),
    }));
    await writeSafetensors(join(folder, "model.safetensors"), [
      ...tensors,
      { name: "score.weight", dtype: "F32", shape: [2, config.hidden_size], data: () => head },
    ]);
    const { out, events } = await trained(letters(32), { model: folder, steps: 1, lr: 1e-9, report: false });
    expect(ofType(events, "start")[0]?.notes.join()).toContain("the head of the checkpoint is trained on");
    const adapter = await readAdapterFolder(join(out, "last"));
    expect(adapter.labelling?.labels).toEqual(["bees", "ants"]); // the checkpoint's order
    expect([...(adapter.trained?.[0]?.values ?? [])].map((value) => value.toFixed(6))).toEqual([...head].map((value) => value.toFixed(6)));
  });
});

describe("other tasks", () => {
  test("words are told apart, by their first tokens", { timeout: 120_000 }, async () => {
    const rows = Array.from({ length: 48 }, (_, row) => {
      const tokens = Array.from({ length: 2 + (row % 4) }, (_, at) => ((row + at) % 3 === 0 ? "bbb" : "aa"));
      return { tokens, labels: tokens.map((word) => (word === "bbb" ? "B" : "A")) };
    });
    const { out, events } = await trained(rows, { task: "token-classification", steps: 40 });
    expect(ofType(events, "done")[0]?.target?.after).toBe(1);
    const adapter = await readAdapterFolder(join(out, "adapter"));
    expect(adapter.config.taskType).toBe("TOKEN_CLS");
    expect(adapter.trained?.map(({ name }) => name)).toEqual(["score.bias", "score.weight"]);
    const told = await classify({ adapter: out, text: "aa bbb aa" });
    expect(told.rows).toMatchObject([
      {
        kind: "words",
        words: [
          { word: "aa", label: "A" },
          { word: "bbb", label: "B" },
          { word: "aa", label: "A" },
        ],
      },
    ]);
  });

  test("numbers are told", { timeout: 120_000 }, async () => {
    const rows = letters(64).map(({ text }) => ({ text, label: text.startsWith("a") ? 1 : -1 }));
    const { out, events } = await trained(rows, { task: "regression" });
    const [report] = ofType(events, "report");
    if (report === undefined || !("kind" in report.report) || report.report.results.kind !== "values")
      throw new Error("no report of values");
    expect(report.report.results.pearson).toBeGreaterThan(0.95);
    expect(report.report.results.rootMeanSquare).toBeLessThan(0.3 * report.report.results.baselineRootMeanSquare);
    const evaluated = await runEvaluation({ model: TINY_CHAT, adapter: out, data: await jsonlFile(rows.slice(0, 24)) }, nobody);
    expect(evaluated.metrics?.pearson).toBeCloseTo(report.report.results.pearson ?? Number.NaN, 4);
    expect(evaluated.comparisons[0]).toMatchObject({ metric: "root mean square error", n: 24 });
    expect(evaluated.comparisons[0]?.adapted).toBeCloseTo(report.report.results.rootMeanSquare, 4);
    const told = await classify({ adapter: out }, ["aaaa", "bbbb"]);
    const values = told.rows.map((row) => (row.kind === "value" ? row.value : Number.NaN));
    expect(values[0]).toBeGreaterThan(0.5);
    expect(values[1]).toBeLessThan(-0.5);
  });

  test("what is no number, or no option of the task, is refused", async () => {
    const data = await jsonlFile([
      { text: "a", label: 1 },
      { text: "b", label: "two" },
    ]);
    const base = { ...options, out: join(await temporaryFolder(), "run"), data };
    await expect(runHere({ ...base, task: "regression" })).rejects.toThrow(`${data}:2: expected "label" to be a number, found "two"`);
    await expect(runHere({ ...base, task: "regression", classWeights: "balanced" })).rejects.toThrow(InputError);
    await expect(runHere({ ...base, task: "classification", classWeights: "three=1" })).rejects.toThrow(
      'names "three", which is no label of the data',
    );
  });

  test("values that all are the same are refused before anything is trained", async () => {
    const data = await jsonlFile(letters(24).map(({ text }) => ({ text, label: 2 })));
    const run = runHere({ ...options, out: join(await temporaryFolder(), "run"), data, task: "regression" });
    await expect(run).rejects.toThrow(`${data} has the label 2 in each of its 24 rows: there is nothing to learn.`);
  });

  test("labels called like what every object has are labels like others", { timeout: 60_000 }, async () => {
    const rows = letters(64).map(({ text, label }) => ({ text, label: label === "ants" ? "__proto__" : "constructor" }));
    const loss = async (classWeights: string) => {
      const { events } = await trained(rows, { steps: 1, batchSize: 64, classWeights, report: false });
      return ofType(events, "step")[0]?.loss ?? Number.NaN;
    };
    const [ants, bees, both] = [await loss("__proto__=1,constructor=0"), await loss("__proto__=0"), await loss("none")];
    // Three in four are of the first: the mean over all is that of the means over each.
    expect(0.75 * ants + 0.25 * bees).toBeCloseTo(both, 4);
  });
});
