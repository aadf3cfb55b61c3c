import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Batch, batchShape, buildBatch, type Cursor, epochPlan, measuringBatches, openBatches } from "../../src/data/batch.js";
import type { Example } from "../../src/data/example.js";
import { padBatch } from "../../src/data/pad-batch.js";
import { InputError } from "../../src/errors.js";

function example(ids: number[], learnedFrom: number): Example {
  const supervised = Uint8Array.from(ids, (_, index) => (index >= learnedFrom ? 1 : 0));
  return { ids: Int32Array.from(ids), supervised, source: { file: "f", line: 1 }, prompt: "", row: { kind: "text", text: "" } };
}

/** Examples of lengths from 2 to 301, whose first id says which they are. */
const many = Array.from({ length: 103 }, (_, index) => example([index + 1, ...new Array<number>(1 + ((index * 37) % 300)).fill(5)], 1));
/** The first ids of a batch's examples, in the order of its rows. */
const firstIds = ({ ids, positions, segments }: Batch) =>
  [...ids].flatMap((id, place) => (segments[place]! > 0 && positions[place] === 0n ? [Number(id)] : []));

/** What a batch teaches of each example, read out of its rows: the tokens before each target, and the target. */
function taught(batch: Batch): { context: number[]; target: number }[] {
  const at = (values: ArrayLike<number | bigint>, place: number) => Number(values[place]);
  return Array.from({ length: batch.supervisedCount }, (_, s) => {
    const place = at(batch.supervisedRows, s);
    const length = at(batch.positions, place) + 1;
    const start = place - length + 1;
    const row = Math.floor(place / batch.tokens) * batch.tokens;
    const context: number[] = [];
    for (let other = row; other <= place; other++) {
      if (batch.segments[other] !== batch.segments[place]) continue; // what attention does not see
      if (at(batch.positions, other) !== other - start) throw new Error(`place ${other} has position ${batch.positions[other]}`);
      context.push(at(batch.ids, other));
    }
    expect(context).toHaveLength(length); // the first of the example has position 0
    return { context, target: at(batch.targets, s) };
  });
}

describe("one batch", () => {
  const examples = [example([11, 12, 13, 14, 15], 2), example([21, 22], 0), example([31, 32, 33], 3), example([41, 42, 43, 44, 45, 46], 4)];
  examples[0]!.supervised[4] = 0;
  const batch = buildBatch(examples);

  test("examples side by side in a row, numbered, their positions from 0 on, padded on the right", () => {
    // Read are 11 12 13, 21, nothing of the third, and 41 to 45: what comes before the last target of each.
    expect([batch.batch, batch.tokens]).toEqual([2, 8]);
    const padding = new Array<number>(7).fill(0);
    expect(Array.from(batch.ids, Number)).toEqual([41, 42, 43, 44, 45, 11, 12, 13, 21, ...padding]);
    expect(Array.from(batch.segments)).toEqual([1, 1, 1, 1, 1, 2, 2, 2, 1, ...padding]);
    expect(Array.from(batch.positions, Number)).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 0, ...padding]);
    expect(batch.exampleTokens).toBe(5 + 2 + 3 + 6);
  });

  test("each supervised token is the target of the place before it, in the order of the examples; a first token never is", () => {
    expect(batch.supervisedCount).toBe(5);
    expect(Array.from(batch.supervisedRows, Number)).toEqual([6, 7, 8, 3, 4, 0, 0, 0]);
    expect(Array.from(batch.targets, Number)).toEqual([13, 14, 22, 45, 46, 0, 0, 0]);
    expect(Array.from(batch.weights)).toEqual([1, 1, 1, 1, 1, 0, 0, 0]);
  });

  test("padded to multiples it teaches the same", () => {
    const padded = padBatch(batch, { tokens: 16, supervised: 5 });
    expect([padded.batch, padded.tokens, padded.ids.length, padded.supervisedRows.length]).toEqual([2, 16, 32, 10]);
    expect(taught(padded)).toEqual(taught(batch));
    expect(Array.from(padded.supervisedRows, Number)).toEqual([6, 7, 16, 3, 4, 0, 0, 0, 0, 0]);
    expect(Array.from(padded.segments.subarray(8, 18))).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    expect(padBatch(batch, { tokens: 8, supervised: 8 })).toBe(batch);
  });

  test("a batch that teaches nothing is a row of padding", () => {
    const { batch: rows, tokens, supervisedCount, segments } = buildBatch([example([1, 2], 2), example([3], 0)]);
    expect([rows, tokens, supervisedCount]).toEqual([1, 8, 0]);
    expect([...segments]).toEqual(new Array(8).fill(0));
  });

  test("for any examples: every target once, after just the tokens of its example before it", () => {
    const anyExample = fc.array(fc.tuple(fc.integer({ min: 1, max: 999 }), fc.boolean()), { minLength: 1, maxLength: 150 });
    fc.assert(
      fc.property(fc.array(anyExample, { minLength: 1, maxLength: 12 }), (drawn) => {
        const given = drawn.map((tokens) => ({
          ids: Int32Array.from(tokens, ([id]) => id),
          supervised: Uint8Array.from(tokens, ([, learned]) => Number(learned)),
        }));
        const built = buildBatch(given);
        const wanted = given.flatMap(({ ids, supervised }) =>
          [...ids].flatMap((target, t) => (t > 0 && supervised[t] === 1 ? [{ context: [...ids.slice(0, t)], target }] : [])),
        );
        expect(taught(built)).toEqual(wanted);
        expect(built.ids.length).toBe(built.batch * built.tokens);
        expect(batchShape(given)).toEqual({ batch: built.batch, tokens: built.tokens, supervised: built.targets.length });
        const read = given.map(({ supervised }) => Math.max(0, supervised.lastIndexOf(1)));
        expect(built.segments.filter((segment) => segment > 0).length).toBe(read.reduce((sum, length) => sum + length, 0));
        built.segments.forEach((segment, place) => {
          if (segment === 0) expect([built.ids[place], built.positions[place]]).toEqual([0n, 0n]);
        });
      }),
    );
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

  test("measuring visits each example once, shortest first, and says which places are whose", () => {
    const seen = [...measuringBatches(many, 8)].flatMap(({ batch, indexes, counts }) => {
      const lengths = indexes.map((index) => many[index]!.ids.length);
      expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
      const owners = indexes.flatMap((index, position) => new Array<number>(counts[position]!).fill(index));
      expect(taught(batch).map(({ context }) => context[0]! - 1)).toEqual(owners);
      return indexes;
    });
    expect([...seen].sort((a, b) => a - b)).toEqual(many.map((_, index) => index));
  });
});
