import { expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { runInspectData } from "../../src/workflows/node/inspect-data-run.js";
import { fakeContext, jsonlFile, TINY_CHAT } from "./support.js";

const chat = (question: string, answer: string) => ({
  messages: [
    { role: "user", content: question },
    { role: "assistant", content: answer },
  ],
});
const rows = Array.from({ length: 40 }, (_, index) => chat(`What is ${index} plus one?`, String(index + 1)));

test("a file is reported as training would take it: forms, mask, held-out rows", async () => {
  const data = await jsonlFile(rows);
  const report = await runInspectData({ data, model: TINY_CHAT }, fakeContext());
  expect(report).toMatchObject({ file: data, format: "jsonl", rows: 40, examples: 40, train: 30, heldOut: 10, cut: 0, maxLength: 1024 });
  expect(report.samples[0]?.segments).toEqual([
    { text: "<|im_start|>user\nWhat is 0 plus one?<|im_end|>\n<|im_start|>assistant\n", supervised: false },
    { text: "1<|im_end|>", supervised: true },
    { text: "\n", supervised: false },
  ]);
  expect(structuredClone(report)).toEqual(report);
});

test("long examples are cut or left out by the rule, and a file of its own takes the place of held-out rows", async () => {
  const data = await jsonlFile([...rows, chat("Tell me a story.", "Once upon a time. ".repeat(40))]);
  const valid = await jsonlFile([rows[0], chat("What is 99 plus one?", "100")], "valid.jsonl");
  const options = { data, valid, model: TINY_CHAT, maxLength: 64 };
  const cut = await runInspectData(options, fakeContext());
  expect(cut).toMatchObject({ examples: 41, cut: 1, train: 41, heldOut: 2, maxLength: 64 });
  expect(cut.notes.join("\n")).toMatch(/1 of 2 prompts in .*valid\.jsonl are also in/);
  expect(await runInspectData({ ...options, overflow: "drop" }, fakeContext())).toMatchObject({ examples: 40, droppedTooLong: 1 });
});

test("what is said twice, in the file and across the split; rows of one group on one side; columns by other names", async () => {
  const table = rows.map(({ messages: [question, answer] }, index) => ({ q: question?.content, a: answer?.content, author: index % 4 }));
  const data = await jsonlFile([...table, table[0], table[1]]);
  const options = { data, model: TINY_CHAT, columns: "prompt=q,completion=a", groupBy: "author", validShare: 0.25 };
  const report = await runInspectData(options, fakeContext());
  expect(report).toMatchObject({ examples: 42, prompts: 40, duplicates: 2, heldOut: 11, train: 31, overlap: { prompts: 0, examples: 0 } });
  const valid = await jsonlFile([table[0], { ...table[1], a: "something else" }, { q: "new", a: "1" }], "valid.jsonl");
  const { groupBy: _, validShare: __, ...rest } = options;
  expect(await runInspectData({ ...rest, valid }, fakeContext())).toMatchObject({ heldOut: 3, overlap: { prompts: 2, examples: 1 } });
});

test("the longest example is no longer than the model's positions", async () => {
  const report = await runInspectData({ data: await jsonlFile(rows), model: TINY_CHAT, maxLength: 100_000 }, fakeContext());
  expect(report.maxLength).toBe(2048);
});

test("a malformed row is named before the model is touched", async () => {
  const data = await jsonlFile([rows[0], { messages: 3 }]);
  const refused = runInspectData({ data, model: "no/such-model-at-all" }, fakeContext());
  await expect(refused).rejects.toThrow(/rows\.jsonl:2: /);
  await expect(refused).rejects.toBeInstanceOf(InputError);
});

test("labels: how many there are of each, what a head that always says one would get, and what no model can get right", async () => {
  const letters = Array.from({ length: 40 }, (_, row) => ({ text: "a".repeat(2 + row), label: row % 8 === 0 ? "bees" : "ants" }));
  const data = await jsonlFile([...letters, { text: "aa", text_pair: "b", label: "ants" }, { text: "aaa", label: "bees" }]);
  const report = await runInspectData({ data, model: TINY_CHAT, task: "classification" }, fakeContext());
  expect(report).toMatchObject({ forms: { "text-label": 41, "text-pair-label": 1 }, rows: 42, examples: 42, train: 32, heldOut: 10 });
  expect(report.labels).toEqual([
    { label: "ants", count: 36 },
    { label: "bees", count: 6 },
  ]);
  expect(report.samples.map(({ tells }) => tells)).toEqual(["bees", "ants", "ants"]);
  expect(report.notes).toEqual([
    'To say "ants" always is right for 85.7 %: look at macro F1 beside the accuracy, and try --class-weights balanced.',
    'Fewer than 10 examples have the label "bees": hardly enough to learn.',
    "1 text stands in several rows with different labels: no model can get all of them right.",
  ]);
  expect(structuredClone(report)).toEqual(report);
});

test("labels of words count by the word, and numbers have a range", async () => {
  const words = Array.from({ length: 20 }, () => ({ tokens: ["aa", "bbb", "aa"], labels: ["A", "B", "A"] }));
  const report = await runInspectData({ data: await jsonlFile(words), model: TINY_CHAT, task: "token-classification" }, fakeContext());
  expect(report).toMatchObject({ forms: { "tokens-labels": 20 }, supervisedTokens: 60 });
  expect(report.labels).toEqual([
    { label: "A", count: 40 },
    { label: "B", count: 20 },
  ]);
  expect(report.samples[0]?.tells).toBe("A B A");
  const numbers = Array.from({ length: 20 }, (_, row) => ({ text: `n ${row}`, label: row / 2 }));
  const values = await runInspectData({ data: await jsonlFile(numbers), model: TINY_CHAT, task: "regression" }, fakeContext());
  expect(values.values).toEqual({ least: 0, mean: 4.75, most: 9.5 });
  expect(values).not.toHaveProperty("labels");
});

test("pairs: both texts of each, and what recurs", async () => {
  const pairs = Array.from({ length: 24 }, (_, row) => ({ anchor: `question ${row}`, positive: `answer ${row % 20}`, negative: "no" }));
  const data = await jsonlFile([...pairs, { anchor: "question 3", positive: "answer 4" }, { anchor: "same", positive: "same" }]);
  const report = await runInspectData({ data, model: TINY_CHAT, task: "embedding" }, fakeContext());
  expect(report).toMatchObject({ forms: { "anchor-positive": 26 }, examples: 26, train: 16, heldOut: 10, prompts: 25 });
  expect(report.samples[0]).toMatchObject({ segments: [{ text: "question 0", supervised: false }], tells: "answer 0" });
  expect(report.notes).toEqual([
    "Anchors with several positives: 1. None of these counts as a wrong one.",
    "Positives of several anchors: 5. They are a wrong one for none of these.",
    "Pairs that are the same text twice, as the model reads them: 1. They teach nothing of their own.",
    `${data}: the negatives of 24 rows are not learned from; those of a pair are the positives of its batch`,
  ]);
});

test("rows of another task are told which it is, and a label that is not read is told", async () => {
  const labels = Array.from({ length: 20 }, (_, row) => ({ text: `document ${row}`, label: "a" }));
  const data = await jsonlFile(labels);
  expect((await runInspectData({ data, model: TINY_CHAT }, fakeContext())).notes).toContain(
    `${data}: 20 rows have a "label", which the task sft does not read: their texts are learned word by word. For labels, take --task classification or regression`,
  );
  const pairs = runInspectData({ data: await jsonlFile([{ anchor: "a", positive: "b" }]), model: TINY_CHAT }, fakeContext());
  await expect(pairs).rejects.toThrow('found "anchor", "positive"; rows of this form are learned with --task embedding');
  const words = runInspectData({ data: await jsonlFile([{ tokens: ["a"], labels: ["b"] }]), model: TINY_CHAT }, fakeContext());
  await expect(words).rejects.toThrow("rows of this form are learned with --task token-classification");
});
