import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LabelChoice, type LabelledRow, recogniseLabelledText, recogniseTaggedWords } from "../../src/data/labelled-row.js";
import { checkSpread, classesOf, collectLabels, valuesOf } from "../../src/data/labels.js";
import { readRowsAs } from "../../src/data/node/read-rows.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lorikeet-labels-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(name: string, text: string, choice: LabelChoice = { labels: "required" }): Promise<readonly LabelledRow[]> {
  const file = join(folder, name);
  await writeFile(file, text);
  return (await readRowsAs<LabelledRow>(file, (value) => recogniseLabelledText(value, choice))).rows;
}

const named = (...labels: readonly string[]): LabelledRow[] =>
  labels.map((label, index) => ({ kind: "text", text: "a", textPair: undefined, label, source: { file: "f", line: index + 1 } }));

describe("a missing label is no class", () => {
  test.each(["NaN", "nan", "-nan", "<NA>", "#N/A", "null", "NULL", " nan "])("%s in a table", async (missing) => {
    await expect(read("a.csv", `text,label\none,good\ntwo,${missing}\n`)).rejects.toThrow(
      `a.csv:3: expected "label" to be a name or a number, found "${missing.trim()}", which tables have in place of a missing value. Fill it in, or leave the row out`,
    );
  });

  test("nothing in a table; where labels are not needed, the row has none", async () => {
    const text = "text,label\none,good\ntwo,\n";
    await expect(read("b.csv", text)).rejects.toThrow('b.csv:3: expected "label" to be a name or a number, found nothing. Fill it in');
    expect((await read("b.csv", text, { labels: "optional" })).map((row) => row.kind === "text" && row.label)).toEqual(["good", undefined]);
  });

  test("among the labels of words too", () => {
    expect(recogniseTaggedWords({ tokens: ["a", "b"], labels: ["X", "NaN"] })).toMatchObject({
      problem: expect.stringContaining('expected "labels"[1] to be a name or a number, found "NaN"'),
    });
  });

  test("words that may be names are names", async () => {
    const rows = await read("c.csv", "text,label\na,None\nb,NA\nc,Nancy\nd,0\n");
    expect(collectLabels(rows)).toEqual(["0", "NA", "Nancy", "None"]);
  });
});

describe("classes", () => {
  test("names stand as Python sorts them, by code points; whole numbers by size", () => {
    // sorted(["\uffee", "\U0001f600", "b", "B", "é", "a", "ab", "\ue000", "\U0001f600a"]) of Python 3.11
    const sorted = ["B", "a", "ab", "b", "é", "\ue000", "\uffee", "\u{1f600}", "\u{1f600}a"];
    expect(collectLabels(named(...[...sorted].reverse()))).toEqual(sorted);
    expect(collectLabels(named("10", "9", "-1"))).toEqual(["-1", "9", "10"]);
  });

  test("by name, or by number where all of a file are numbers", () => {
    const classes = (...labels: string[]) => named(...labels).map(classesOf(named(...labels), ["a", "b"]));
    expect(classes("b", "a")).toEqual([Int32Array.of(1), Int32Array.of(0)]);
    expect(classes("1", "0")).toEqual([Int32Array.of(1), Int32Array.of(0)]);
    expect(() => classesOf(named("a", "2"), ["a", "b"])).toThrow('f:2: expected one of the labels "a", "b", found "2"');
  });

  test("one label alone tells nothing apart", () => {
    expect(() => collectLabels(named("a", "a"))).toThrow('f has one label alone ("a"): there is nothing to tell apart.');
  });
});

describe("values", () => {
  test("are numbers", () => {
    expect(named("1.5", "-2e3").map(valuesOf(named("1.5", "-2e3")))).toEqual([Float32Array.of(1.5), Float32Array.of(-2000)]);
    expect(() => valuesOf(named("1", "many"))).toThrow('f:2: expected "label" to be a number, found "many"');
  });

  test("that all are the same teach nothing", () => {
    expect(() => checkSpread(named("3.5", "3.50", "3.5"))).toThrow(
      'f has the label 3.5 in each of its 3 rows: there is nothing to learn. Check that "label" is the column that you mean.',
    );
    expect(() => checkSpread(named("3.5", "3.5", "3.6"))).not.toThrow();
  });
});
