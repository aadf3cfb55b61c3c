import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import type { DataReport } from "../../src/data/report.js";
import { runInspectData } from "../../src/workflows/node/inspect-data-run.js";
import { fakeContext, jsonlFile, TINY_CHAT, temporaryFolder } from "./support.js";
import { runHere } from "./training-support.js";

/** How much of rows and examples stays in memory: by default all of these few, with 0 none. */
const limit = vi.hoisted(() => ({ memoryBytes: undefined as number | undefined, files: 0 }));

vi.mock("../../src/data/node/shelf.js", async (original) => {
  const real = await original<typeof import("../../src/data/node/shelf.js")>();
  return {
    ...real,
    Shelf: class<T> extends real.Shelf<T> {
      constructor(purpose: string) {
        super(purpose, limit.memoryBytes);
      }
    },
    shelveExamples: (rows: never, rowOf: never) => real.shelveExamples(rows, rowOf, limit.memoryBytes),
  };
});
vi.mock("../../src/data/node/temporary-file.js", async (original) => {
  const real = await original<typeof import("../../src/data/node/temporary-file.js")>();
  return {
    openTemporaryFile: (purpose: string) => {
      limit.files++;
      return real.openTemporaryFile(purpose);
    },
  };
});

/** What `work` gives with everything in memory, and with everything in files. */
async function both<T>(work: () => Promise<T>): Promise<{ inMemory: T; inFiles: T }> {
  limit.memoryBytes = undefined;
  limit.files = 0;
  const inMemory = await work();
  expect(limit.files).toBe(0);
  limit.memoryBytes = 0;
  const inFiles = await work();
  expect(limit.files).toBeGreaterThan(1);
  return { inMemory, inFiles };
}

const answers = Array.from({ length: 60 }, (_, row) => ({
  prompt: `number ${Math.floor(row / 2)}`,
  completion: `${(row * 31) % 1000} and ${row} `.repeat(1 + (row % 5)),
  author: `author ${row % 7}`,
}));
const labels = Array.from({ length: 60 }, (_, row) => ({ text: `number ${row % 51}`, label: row % 3, author: row % 7 }));

test.each([
  ["answers, parted by group and fraction", answers, { groupBy: "author", validShare: 0.3 }],
  ["labels, weighted", labels, { task: "classification", classWeights: "balanced" }],
])("a run on %s is the same bit for bit where its rows lie in files", async (_what, rows, options) => {
  const data = await jsonlFile(rows);
  const { inMemory, inFiles } = await both(async () => {
    const out = join(await temporaryFolder(), "run");
    const given = { model: TINY_CHAT, data, batchSize: 4, steps: 6, lr: 1e-3, threads: 1, seed: 5, evalEvery: 3, report: false };
    const events = await runHere({ ...given, ...options, out });
    const told = events.flatMap((event) => {
      if (event.type === "step") return [[event.loss, event.gradientNorm, event.tokens, event.supervisedTokens]];
      if (event.type === "evaluation") return [[event.loss]];
      return event.type === "start" ? [[event.trainExamples, event.validationExamples, ...event.notes]] : [];
    });
    return { told, weights: (await readFile(join(out, "adapter", "adapter_model.safetensors"))).toString("base64") };
  });
  expect(inMemory.told).toHaveLength(1 + 6 + 2);
  expect(inFiles).toEqual(inMemory);
});

test.each([
  ["answers", [...answers, ...answers.slice(0, 5)], {}],
  ["labels", labels, { task: "classification" }],
])("the report of %s is the same", async (_what, rows, options) => {
  const data = await jsonlFile(rows);
  const work = () => runInspectData({ model: TINY_CHAT, data, ...options }, fakeContext()) as Promise<DataReport>;
  const { inMemory, inFiles } = await both(work);
  expect(inFiles).toEqual(inMemory);
  expect(inMemory.rows).toBe(rows.length);
  expect(inMemory.duplicates).toBe(_what === "answers" ? 5 : 9);
});
