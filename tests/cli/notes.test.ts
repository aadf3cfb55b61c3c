import { expect, test } from "vitest";
import type { EvaluationResult, LanguageModel } from "../../src/workflows/api.js";
import { runWith } from "./support.js";

const notes = ["d.jsonl: 2 of 5 examples are cut.", "The model came from its second source."];
const told = `${notes.join("\n")}\n`;

test.each([
  ["its adapter by folder", [{ name: "cron", directory: "/runs/cron/adapter", rank: 1, layers: 1, parameters: 1 }], "/runs/cron/adapter"],
  ["no adapter", [], null],
])("generate tells what the loading had to tell, and JSON names %s", async (_, adapters, named) => {
  const model: LanguageModel = {
    ...{ name: "m", architecture: "llama", parameters: 1, contextLength: 8, adapters, notes },
    dispose: async () => undefined,
  };
  const workflows = {
    loadModel: async () => model,
    async *generate() {
      yield "hi";
    },
  };
  const { out, err } = await runWith(["generate", "--model", "m", "--prompt", "hi", "--json"], workflows);
  expect(out).toBe(`${JSON.stringify({ adapter: named, text: "hi" })}\n`);
  expect(err).toBe(told);
});

test("eval tells what was cut, also when quiet, and JSON holds it", async () => {
  const result: EvaluationResult = { model: "m", data: "d.jsonl", comparisons: [], samples: [], notes, sentence: "Nothing.", seconds: 1 };
  const { out, err } = await runWith(["eval", "--model", "m", "--data", "d.jsonl", "--json", "--quiet"], { evaluate: async () => result });
  expect(err.startsWith(told)).toBe(true);
  expect(JSON.parse(out).notes).toEqual(notes);
});

test("eval shows that there is no interval", async () => {
  const change = { unit: "perplexity", before: 3, after: 2, difference: -1 / 3, interval: null, n: 2, verdict: "unknown" } as const;
  const comparison = { metric: "perplexity", side: "target", unit: "perplexity", n: 2, base: 3, adapted: 2, change } as const;
  const result: EvaluationResult = { model: "m", data: "d", comparisons: [comparison], samples: [], notes: [], sentence: "", seconds: 1 };
  const { out } = await runWith(["eval", "--model", "m", "--data", "d"], { evaluate: async () => result });
  expect(out).toMatch(/perplexity +2 +3 +2 +−33\.3 % +none +too few examples to tell\n/);
});
