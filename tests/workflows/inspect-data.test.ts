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
