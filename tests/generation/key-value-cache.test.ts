import { describe, expect, test } from "vitest";
import { GenerationSession } from "../../src/generation/generator.js";
import { KeyValueCache } from "../../src/generation/key-value-cache.js";
import { argMax } from "../../src/generation/sampling.js";
import { MASKED } from "../../src/ops/attention-bias.js";
import { largestDifference } from "../support/compare.js";
import { loadTinyModel } from "../support/tiny-model.js";
import { answer, openGeneration, randomIds } from "./support.js";

const SHAPE = { batch: 2, blocks: 2, kvHeads: 3, headSize: 4 };

/** What a program returns for T new tokens, [B, T, K·D]: every number says which block, kind, sequence, head, token (from `first`) and column. */
function newRows(tokens: number, first: readonly number[]) {
  const outputs: Record<string, { data: Float32Array; dims: number[] }> = {};
  for (let block = 0; block < SHAPE.blocks; block++) {
    for (const kind of ["key", "value"] as const) {
      const data = new Float32Array(SHAPE.batch * SHAPE.kvHeads * tokens * SHAPE.headSize);
      for (let i = 0; i < data.length; i++) {
        const column = i % SHAPE.headSize;
        const head = Math.floor(i / SHAPE.headSize) % SHAPE.kvHeads;
        const token = Math.floor(i / (SHAPE.headSize * SHAPE.kvHeads)) % tokens;
        const sequence = Math.floor(i / (SHAPE.headSize * tokens * SHAPE.kvHeads));
        data[i] = label(block, kind, sequence, head, first[sequence]! + token, column);
      }
      outputs[`new.${block}.${kind}`] = { data, dims: [SHAPE.batch, tokens, SHAPE.kvHeads * SHAPE.headSize] };
    }
  }
  return outputs;
}

const label = (block: number, kind: "key" | "value", sequence: number, head: number, token: number, column: number) =>
  (((block * 2 + Number(kind === "value")) * 2 + sequence) * 3 + head) * 4096 + token * 4 + column;

/** Checks that the cache holds just the tokens 0 … length − 1 of each sequence, everywhere. */
function expectHeld(cache: KeyValueCache, lengths: readonly number[]) {
  const feeds = cache.feeds();
  const rows = Math.max(1, ...lengths);
  expect(cache.rows()).toBe(rows);
  // Two new tokens of each sequence: the first sees itself, the second both.
  const flags = (length: number, news: readonly number[]) => [...Array.from({ length: rows }, (_, at) => Number(at < length)), ...news];
  expect([...cache.bias(lengths.map(() => 2))].map((value) => Number(value === 0))).toEqual(
    lengths.flatMap((length) => [...flags(length, [1, 0]), ...flags(length, [1, 1])]),
  );
  for (let block = 0; block < SHAPE.blocks; block++) {
    for (const kind of ["key", "value"] as const) {
      const data = feeds[`past.${block}.${kind}`]!;
      expect(data.length).toBe(rows * SHAPE.batch * SHAPE.kvHeads * SHAPE.headSize);
      for (const [sequence, length] of lengths.entries()) {
        expect(cache.length(sequence)).toBe(length);
        for (let head = 0; head < SHAPE.kvHeads; head++) {
          for (let token = 0; token < length; token++) {
            const at = ((token * SHAPE.batch + sequence) * SHAPE.kvHeads + head) * SHAPE.headSize;
            for (let column = 0; column < SHAPE.headSize; column++) {
              if (data[at + column] !== label(block, kind, sequence, head, token, column)) expect.unreachable(`${kind} of token ${token}`);
            }
          }
        }
      }
    }
  }
}

/** So many tokens of each sequence, whichever they are. */
const tokens = (counts: readonly number[]) => counts.map((count) => new Array<number>(count).fill(7));

describe("the cache", () => {
  test("takes the real rows of sequences of unequal lengths, and grows when they pass its capacity", () => {
    const cache = new KeyValueCache(SHAPE, 1);
    expect(cache.capacity).toBe(128);
    expectHeld(cache, [0, 0]);
    cache.append(newRows(100, [0, 0]), tokens([100, 60]));
    expectHeld(cache, [100, 60]);
    cache.append(newRows(28, [100, 60]), tokens([28, 1]));
    expect(cache.capacity).toBe(128); // just full
    expectHeld(cache, [128, 61]);
    cache.append(newRows(1, [128, 61]), tokens([1, 1]));
    expect(cache.capacity).toBe(256);
    expectHeld(cache, [129, 62]);
    cache.append(newRows(400, [129, 62]), tokens([0, 400]));
    expectHeld(cache, [129, 462]);
  });

  test("forgets all but a beginning, and takes other rows in its place", () => {
    const cache = new KeyValueCache(SHAPE, 300);
    expect(cache.capacity).toBe(384);
    cache.append(newRows(50, [0, 0]), tokens([50, 20]));
    cache.truncate(30);
    expectHeld(cache, [30, 20]);
    cache.append(newRows(5, [30, 20]), tokens([5, 5]));
    expectHeld(cache, [35, 25]);
    cache.truncate(1000);
    expectHeld(cache, [35, 25]);
    cache.truncate(0);
    expectHeld(cache, [0, 0]);
  });

  test("masks what is not there: padding, and what other sequences hold beyond a sequence's own end", () => {
    const cache = new KeyValueCache(SHAPE, 1);
    cache.append(newRows(3, [0, 0]), tokens([3, 1]));
    const seen = [...cache.bias([1, 2])].map((value) => (value === 0 ? 1 : 0));
    expect(seen).toEqual([
      ...[1, 1, 1, 1, 0],
      ...[1, 1, 1, 1, 0], // padding
      ...[1, 0, 0, 1, 0],
      ...[1, 0, 0, 1, 1],
    ]);
    expect([...cache.bias([1, 2])].filter((value) => value !== 0).every((value) => value === Math.fround(MASKED))).toBe(true);
  });

  test("feeds blocks with a window the rows that a new token may see, and masks for each token what lies before its own window", () => {
    const cache = new KeyValueCache(SHAPE, 1);
    cache.append(newRows(5, [0, 0]), tokens([5, 4]));
    const window = 3; // a token sees itself and two before it: the shorter sequence's next sees from row 2 on
    const feeds = cache.feeds((block) => (block === 0 ? window : undefined));
    const rowSize = SHAPE.batch * SHAPE.kvHeads * SHAPE.headSize;
    expect([cache.rows(window), cache.rows()]).toEqual([3, 5]);
    expect([feeds["past.0.key"]!.length, feeds["past.1.key"]!.length]).toEqual([3 * rowSize, 5 * rowSize]);
    expect([feeds["past.0.value"]![0], feeds["past.1.value"]![0]]).toEqual([label(0, "value", 0, 0, 2, 0), label(1, "value", 0, 0, 0, 0)]);
    expect([...cache.bias([2, 1], window)].map((value) => Number(value === 0))).toEqual([
      ...[0, 1, 1, 1, 0], // rows 2, 3, 4 and the new tokens 5, 6
      ...[0, 0, 1, 1, 1],
      ...[1, 1, 0, 1, 0], // rows 2, 3, none, and the new token 4
      ...[0, 1, 0, 1, 0], // padding
    ]);
  });

  test("refuses outputs without rows", () => {
    const cache = new KeyValueCache(SHAPE, 1);
    expect(() => cache.append({}, tokens([1, 1]))).toThrow("no new rows");
    expect(cache.length(0)).toBe(0);
  });
});

describe("a program over a cache that grows", () => {
  test("gives each sequence the logits after its own last token, in whichever piece of the batch it ends", async () => {
    const tiny = await loadTinyModel("tiny-llama3");
    const program = await openGeneration(tiny, "adapted");
    const sequences = [randomIds(60, 5), randomIds(200, 6), randomIds(128, 7)];
    const rows = await program.step(program.cache(3, 1), sequences);
    for (const [index, ids] of sequences.entries()) {
      const alone = await program.step(program.cache(1, 200), [ids]);
      const row = rows.subarray(index * program.vocabulary, (index + 1) * program.vocabulary);
      expect(largestDifference(row, alone), `sequence ${index}`).toBeLessThan(1e-4);
    }
    await program.release();
  });

  test("gives the values of a cache that was large enough, and of no cache", async () => {
    const tiny = await loadTinyModel("tiny-llama3");
    const program = await openGeneration(tiny, "adapted");
    const [a, b] = [randomIds(200, 1), randomIds(140, 2)];
    const grown = program.cache(2, 1);
    let last = await program.step(grown, [a.slice(0, 120), b.slice(0, 70)]);
    for (let t = 0; t < 70; t++) last = await program.step(grown, [[a[120 + t]!], [b[70 + t]!]]);
    expect(grown.capacity).toBe(256);
    const wide = program.cache(2, 200);
    const whole = await program.step(wide, [a.slice(0, 190), b]);
    expect(largestDifference(last, whole)).toBeLessThan(1e-4);

    // Cut back, the grown cache goes on with other tokens as a new one does.
    grown.truncate(33);
    const other = randomIds(7, 3);
    const cut = await program.step(grown, [other, other]);
    const fresh = await program.step(program.cache(2, 40), [
      [...a.slice(0, 33), ...other],
      [...b.slice(0, 33), ...other],
    ]);
    expect(largestDifference(cut, fresh)).toBeLessThan(1e-4);

    // A session whose cache was made for a shorter conversation.
    const session = new GenerationSession(program);
    await answer(session, a.slice(0, 10), { maxNewTokens: 5 });
    const long = await answer(session, a.slice(0, 100), { maxNewTokens: 60 });
    expect(long).toHaveLength(60);
    const row = await program.step(program.cache(1, 200), [[...a.slice(0, 100), ...long.slice(0, -1)]]);
    expect(argMax(row)).toBe(long.at(-1));
    await program.release();
  });
});
