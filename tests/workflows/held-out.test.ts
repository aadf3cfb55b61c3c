import { describe, expect, test } from "vitest";
import { partHeldOut, sharedNote } from "../../src/workflows/node/training/held-out.js";
import { randomExamples } from "../training/support.js";

describe("held-out examples", () => {
  test.each([
    [0, 0, 0, 0],
    [1, 1, 1, 1],
    [10, 10, 10, 10],
    [100, 100, 100, 100],
    [101, 100, 100, 99],
    [150, 100, 100, 50],
    [200, 100, 100, 0],
    [500, 100, 100, 0],
  ])("%d: %d choose the adapter, %d score it, %d do both", (count, choosing, scoring, shared) => {
    const examples = randomExamples(count);
    const parts = partHeldOut(examples, 1);
    expect(parts.choosing).toHaveLength(choosing);
    expect(parts.scoring).toHaveLength(scoring);
    expect(parts.scoring.filter((example) => parts.choosing.includes(example))).toHaveLength(shared);
    expect(parts.shared).toBe(shared);
    expect(new Set([...parts.choosing, ...parts.scoring]).size).toBe(Math.min(count, 200)); // none twice, and none left unused
    for (const part of [parts.choosing, parts.scoring]) {
      const places = part.map((example) => examples.indexOf(example));
      expect(places).toEqual([...places].sort((a, b) => a - b));
    }
  });

  test("are drawn from the whole file, by seed", () => {
    const examples = randomExamples(500);
    const places = (seed: number) => partHeldOut(examples, seed).scoring.map((example) => examples.indexOf(example));
    expect(places(3)).toEqual(places(3));
    expect(places(3)).not.toEqual(places(4));
    for (const seed of [1, 2, 3, 4, 5]) {
      // 100 of 500 without putting back: the places' mean is 249.5 with a deviation of √(500·501/12·(400/500)/100) = 12.9.
      const mean = places(seed).reduce((sum, place) => sum + place, 0) / 100;
      expect(Math.abs(mean - 249.5)).toBeLessThan(5 * 12.9);
    }
  });

  test("that choose the adapter and score it are said to", () => {
    const note = (count: number) => sharedNote(partHeldOut(randomExamples(count), 1));
    expect(note(0)).toBeUndefined();
    expect(note(40)).toMatch(/^the same 40 held-out examples that score the adapter .* its score may look slightly too good$/);
    expect(note(150)).toMatch(/^50 of the 100 held-out examples that score/);
    expect(note(200)).toBeUndefined();
  });
});
