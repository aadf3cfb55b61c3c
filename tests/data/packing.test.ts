import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bucketOf, layoutCost, longestOf, longestRow, packRows } from "../../src/data/packing.js";

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

describe("rows of examples", () => {
  test("the longest text, of more than a call takes arguments, or of none", () => {
    const texts = Array.from({ length: 200_000 }, (_, index) => ({ ids: { length: index % 77 } }));
    expect(longestOf(texts)).toBe(76);
    expect(longestOf([])).toBe(0);
  });

  test("short examples share rows, the longest first, each in the fullest row that has room", () => {
    // 8 rows of 64 tokens have 512 places for 344 tokens; 4 of 96 have 384.
    expect(packRows([44, 35, 44, 40, 57, 40, 40, 44])).toEqual({
      tokens: 96,
      rows: [
        [4, 1], // 57 and 35
        [0, 2], // 44 and 44
        [7, 3], // 44 and 40
        [5, 6], // 40 and 40
      ],
    });
  });

  test("examples of one length stay apart: a longer row would cost more", () => {
    expect(packRows([64, 64, 64])).toEqual({ tokens: 64, rows: [[0], [1], [2]] });
    expect(packRows([40, 40])).toEqual({ tokens: 40, rows: [[0], [1]] });
  });

  test("the short ones go beside each other under the longest", () => {
    expect(packRows([30, 500, 200, 250])).toEqual({ tokens: 512, rows: [[1], [3, 2, 0]] });
  });

  test("what has no tokens takes no place; where nothing has, one row of padding is left", () => {
    expect(packRows([0, 3, 0])).toEqual({ tokens: 8, rows: [[1]] });
    expect(packRows([0, 0])).toEqual({ tokens: 8, rows: [[]] });
  });

  test("for any lengths: each example once, no row too long, never dearer than one row for each", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.integer({ min: 0, max: 90 }), fc.integer({ min: 0, max: 2000 })), { maxLength: 40 }), (lengths) => {
        const packed = packRows(lengths);
        const real = lengths.flatMap((length, index) => (length > 0 ? [index] : []));
        expect(packed.rows.flat().sort((a, b) => a - b)).toEqual(real);
        for (const row of packed.rows) {
          expect(row.length > 0 || real.length === 0).toBe(true);
          expect(row.reduce((sum, index) => sum + lengths[index]!, 0)).toBeLessThanOrEqual(packed.tokens);
        }
        const longest = Math.max(0, ...lengths);
        expect(packed.tokens).toBe(bucketOf(packed.tokens));
        expect(packed.tokens).toBeLessThanOrEqual(longestRow(longest));
        const apart = { tokens: bucketOf(longest), rows: real.map((index) => [index]) };
        if (real.length > 0) expect(layoutCost(packed)).toBeLessThanOrEqual(layoutCost(apart));
      }),
    );
  });
});
