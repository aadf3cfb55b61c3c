import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readRowsAs } from "../../src/data/node/read-rows.js";
import { type PairRow, recognisePair } from "../../src/data/pair.js";

test("pairs are read, and bad rows are named by file and line", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lorikeet-pairs-"));
  const file = join(folder, "pairs.jsonl");
  await writeFile(file, '{"anchor":"a","positive":"b"}\n{"anchor":"a","negative":"c"}\n{"anchor":"a","positive":" "}\n');
  const read = readRowsAs<PairRow>(file, recognisePair);
  await expect(read).rejects.toThrow(`${file}:2: expected "anchor" and "positive", found "anchor", "negative"`);
  await expect(read).rejects.toThrow(`${file}:3: expected "positive" to be a text that is not empty, found " "`);
  await rm(folder, { recursive: true });
});

test("a negative beside a pair is seen, so that it can be told that it is not learned from", () => {
  expect(recognisePair({ anchor: "a", positive: "b", negative: "c" })).toMatchObject({ hasNegative: true });
  expect(recognisePair({ anchor: "a", positive: "b", negative_2: "c" })).toMatchObject({ hasNegative: true });
  expect(recognisePair({ anchor: "a", positive: "b", id: 3 })).toMatchObject({ hasNegative: false });
});
