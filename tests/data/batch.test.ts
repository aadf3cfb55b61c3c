import { describe, expect, test } from "vitest";
import { type Batch, bucketOf, buildBatch, type Cursor, epochPlan, measuringBatches, openBatches } from "../../src/data/batch.js";
import type { Example } from "../../src/data/example.js";
import { InputError } from "../../src/errors.js";

function example(ids: number[], learnedFrom: number): Example {
  const supervised = Uint8Array.from(ids, (_, index) => (index >= learnedFrom ? 1 : 0));
  return { ids: Int32Array.from(ids), supervised, source: { file: "f", line: 1 }, prompt: "", row: { kind: "text", text: "" } };
}

/** Examples of lengths from 2 to 301, whose first id says which they are. */
const many = Array.from({ length: 103 }, (_, index) => example([index + 1, ...new Array<number>(1 + ((index * 37) % 300)).fill(5)], 1));
const firstIds = (batch: Batch) => Array.from({ length: batch.batch }, (_, b) => Number(batch.ids[b * batch.tokens]));

describe("buckets", () => {
  test("few shapes, little padding", () => {
    const buckets = new Set(Array.from({ length: 1024 }, (_, index) => bucketOf(index + 1)));
    expect(buckets.size).toBe(40);
    for (let count = 0; count <= 5000; count++) {
      expect(bucketOf(count)).toBeGreaterThanOrEqual(count);
      expect(bucketOf(bucketOf(count))).toBe(bucketOf(count));
      if (count > 64) expect((bucketOf(count) - count) / bucketOf(count)).toBeLessThan(1 / 8);
    }
    expect([0, 1, 32, 33, 129, 257, 1000].map(bucketOf)).toEqual([8, 8, 32, 40, 144, 288, 1024]);
  });
});

describe("one batch", () => {
  const batch = buildBatch([example([11, 12, 13, 14], 2), example([21, 22], 0), example([31, 32, 33], 3)]);

  test("ids, positions and segments, padded on the right", () => {
    expect([batch.batch, batch.tokens]).toEqual([3, 8]);
    const row = (values: ArrayLike<number | bigint>, b: number) => Array.from(values, Number).slice(b * 8, b * 8 + 6);
    expect(row(batch.ids, 0)).toEqual([11, 12, 13, 14, 0, 0]);
    expect(row(batch.ids, 1)).toEqual([21, 22, 0, 0, 0, 0]);
    expect(row(batch.segments, 0)).toEqual([1, 1, 1, 1, 0, 0]);
    expect(row(batch.positions, 2)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("each supervised token is the target of the row before it; a first token never is", () => {
    // 13 and 14 from rows 1 and 2, 22 from row 8; 21 has nothing before it; the third example has nothing learned.
    expect(batch.supervisedCount).toBe(3);
    expect(Array.from(batch.supervisedRows.slice(0, 4), Number)).toEqual([1, 2, 8, 0]);
    expect(Array.from(batch.targets.slice(0, 4), Number)).toEqual([13, 14, 22, 0]);
    expect(Array.from(batch.weights)).toEqual([1, 1, 1, ...new Array(5).fill(0)]);
  });

  test("no padding token is ever a target", () => {
    for (const { batch: one } of measuringBatches(many, 8)) {
      for (let s = 0; s < one.supervisedCount; s++) {
        const row = Number(one.supervisedRows[s]);
        expect(one.segments[row + 1]).toBe(1);
        expect(one.ids[row + 1]).toBe(one.targets[s]);
      }
      expect(one.weights.reduce((sum, weight) => sum + weight, 0)).toBe(one.supervisedCount);
    }
  });
});

describe("the stream of batches", () => {
  const options = { batchSize: 4, seed: 42 };

  test("an epoch holds every example once, and the next one in another order", () => {
    const stream = openBatches(many, options);
    expect(stream.batchesPerEpoch).toBe(26);
    const epoch = () => Array.from({ length: stream.batchesPerEpoch }, () => firstIds(stream.next())).flat();
    const [first, second] = [epoch(), epoch()];
    const all = many.map((_, index) => index + 1);
    expect([...first].sort((a, b) => a - b)).toEqual(all);
    expect([...second].sort((a, b) => a - b)).toEqual(all);
    expect(second).not.toEqual(first);
  });

  test("is the same for the same seed, another for another", () => {
    const start = (seed: number) => firstIds(openBatches(many, { batchSize: 4, seed }).next());
    expect(start(42)).toEqual(start(42));
    expect([start(1), start(2), start(3)].map(String)).not.toEqual([start(42), start(42), start(42)].map(String));
  });

  test("batches hold examples of about one length", () => {
    const lengths = many.map((one) => one.ids.length);
    const padded = (plan: number[][]) =>
      plan.reduce((sum, batch) => sum + batch.length * Math.max(...batch.map((index) => lengths[index] ?? 0)), 0);
    const real = lengths.reduce((sum, length) => sum + length, 0);
    expect(padded(epochPlan(lengths, 4, 42, 0)) / real).toBeLessThan(1.05);
  });

  test.each([0, 1, 25, 26, 27, 60])("continues exactly from a cursor saved after %i batches", (count) => {
    const stream = openBatches(many, options);
    for (let i = 0; i < count; i++) stream.next();
    const saved = JSON.parse(JSON.stringify(stream.cursor())) as Cursor;
    const again = openBatches(many, options, saved);
    for (let i = 0; i < 30; i++) expect(again.next()).toEqual(stream.next());
    expect(again.cursor()).toEqual(stream.cursor());
  });

  test("refuses a cursor of other data or options, naming what differs", () => {
    const cursor = openBatches(many, options).cursor();
    const resume = () => openBatches(many.slice(1), { batchSize: 8, seed: 42 }, cursor);
    expect(resume).toThrow(InputError);
    expect(resume).toThrow(/not what the checkpoint was made with \(batchSize was 4, is 8; examples was 103, is 102\)/);
    expect(() => openBatches([], options)).toThrow(/no example to train on/);
    expect(() => openBatches(many, { batchSize: 0, seed: 1 })).toThrow(/whole number from 1 on, found 0/);
  });

  test("measuring visits each example once, shortest first, and says which rows are whose", () => {
    const seen = [...measuringBatches(many, 8)].flatMap(({ batch, indexes }) => {
      expect(firstIds(batch)).toEqual(indexes.map((index) => index + 1));
      return indexes;
    });
    expect([...seen].sort((a, b) => a - b)).toEqual(many.map((_, index) => index));
  });
});
