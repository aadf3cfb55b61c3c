import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readRows } from "../../src/data/node/read-rows.js";
import { countDuplicates, overlapOf } from "../../src/data/repetition.js";
import { splitHeldOut } from "../../src/data/split.js";
import { readLabelledRows } from "../../src/workflows/node/label-data.js";
import { inCode, onCommandLine, parseOptions, trainSet } from "../../src/workflows/options.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lorikeet-columns-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, rows: readonly unknown[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join("\n"));
  return path;
}

describe("columns by other names", () => {
  test("make the row, and nothing else does", async () => {
    const path = await file("qa.jsonl", [{ messages: "no conversation", question: "2 + 2?", answer: "4", note: "easy" }]);
    const { rows } = await readRows(path, { columns: { prompt: "question", completion: "answer", system: "persona" } });
    expect(rows).toEqual([
      { row: { kind: "completion", prompt: "2 + 2?", completion: "4" }, form: "prompt-completion", source: { file: path, line: 1 } },
    ]);
    await expect(readRows(path)).rejects.toThrow('expected "messages"');
  });

  test("of a table, of rows with labels", async () => {
    const csv = join(folder, "reviews.csv");
    await writeFile(csv, "stars,review\n5,good\n1,bad\n");
    const { rows } = await readLabelledRows(csv, "classification", { labels: "required" }, { columns: { text: "review", label: "stars" } });
    expect([...rows]).toMatchObject([
      { text: "good", label: "5" },
      { text: "bad", label: "1" },
    ]);
  });

  test("that are not there are named with those that are", async () => {
    const path = await file("other.jsonl", [{ q: "a", a: "b" }]);
    await expect(readRows(path, { columns: { prompt: "question", completion: "a" } })).rejects.toThrow(
      `${path}:1: expected the column "question", which is to be "prompt", found "q", "a"`,
    );
    await expect(readRows(path, { groupBy: "author" })).rejects.toThrow(
      `${path}:1: expected a text or a number in the column "author", by which rows are grouped, found "q", "a"`,
    );
    const empty = await file("empty.jsonl", [{ q: "a", a: "b", author: null }]);
    await expect(readRows(empty, { groupBy: "author" })).rejects.toThrow("by which rows are grouped, found null");
  });

  test("as options: what is wrong is said", () => {
    const parse = (columns: unknown) => parseOptions(trainSet, { model: "m", data: "d", out: "o", columns }, onCommandLine).columns;
    expect(parse("prompt = question ,completion=the answer=42")).toEqual({ prompt: "question", completion: "the answer=42" });
    expect(() => parse("promt=question")).toThrow(
      /--columns: expected names of columns.*\("promt" is none of messages, conversations, prompt/s,
    );
    expect(() => parse("prompt")).toThrow("prompt has no column");
    expect(() => parse("prompt=a,prompt=b")).toThrow("prompt stands twice");
    expect(() =>
      parseOptions(trainSet, { model: "m", data: "d", out: "o", valid: "v", groupBy: "author", validShare: 0.1 }, inCode),
    ).toThrow(/give either options\.valid or options\.validShare: .*\n.*give either options\.valid or options\.groupBy: /);
    expect(() => parseOptions(trainSet, { model: "m", data: "d", out: "o", validShare: 0.6 }, onCommandLine)).toThrow("--valid-share");
  });
});

describe("rows that are held out", () => {
  const rows = (count: number, groups: number) =>
    Array.from({ length: count }, (_, index) => ({ prompt: `${index}`, group: `${index % groups}`, index }));

  test.each([
    [1000, 0.05, 50],
    [20_000, 0.25, 5000],
    [10, 0.01, 1],
    [10, 0.5, 5],
  ])("%d, a share of %d: %d", (count, share, expected) => {
    const all = rows(count, count);
    const { train, heldOut } = splitHeldOut(all, 7, share);
    expect(heldOut).toHaveLength(expected);
    expect([...train, ...heldOut].sort((a, b) => a.index - b.index)).toEqual(all);
    expect(splitHeldOut(all, 7, share).heldOut).toEqual(heldOut);
  });

  test("of one group stay on one side, whatever their prompts", async () => {
    const { train, heldOut } = splitHeldOut(rows(300, 30), 3, 0.2);
    expect(heldOut).toHaveLength(60);
    const learned = new Set(train.map(({ group }) => group));
    expect(heldOut.filter(({ group }) => learned.has(group))).toEqual([]);
    const path = await file("grouped.jsonl", [
      { text: "a", author: 7 },
      { text: "b", author: "x" },
    ]);
    expect((await readRows(path, { groupBy: "author" })).rows.map(({ group }) => group)).toEqual(["7", "x"]);
  });
});

test("what is said twice is counted, in a file and across two", () => {
  const example = (prompt: string, ...ids: number[]) => ({ prompt, ids: Int32Array.from(ids) });
  const train = [example("a", 1, 2, 3), example("a", 1, 2, 3), example("b", 1, 2), example("c", 3, 2, 1), example("a", 1, 2, 4)];
  expect(countDuplicates(train)).toBe(1);
  expect(overlapOf(train, [example("a", 9), example("c", 3, 2, 1), example("d", 1, 2)])).toEqual({ prompts: 2, examples: 2 });
  const many = Array.from({ length: 50_000 }, (_, index) => example("", index >> 8, index & 255, 70_000));
  expect(countDuplicates(many)).toBe(0);
});
