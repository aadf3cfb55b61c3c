import { describe, expect, test } from "vitest";
import { createRandom, xoshiro } from "../../src/data/random.js";

describe("the seeded generator", () => {
  test("is xoshiro128**: the first words from the state 1, 2, 3, 4 are the published ones", () => {
    // What the authors' xoshiro128starstar.c (1.1) prints, compiled unchanged; the Rust crate rand_xoshiro tests the same.
    const random = xoshiro([1, 2, 3, 4]);
    const words = Array.from({ length: 10 }, () => random.uint32());
    expect(words).toEqual([11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804]);
  });

  test("gives the same numbers for the same seed and stream, others for others", () => {
    const draw = (seed: number, stream?: string) => Array.from({ length: 4 }, createRandom(seed, stream).uint32);
    expect(draw(42)).toEqual(draw(42));
    const all = [draw(42), draw(43), draw(42, "dropout"), draw(42, "dropout/1"), draw(-42), draw(42 + 2 ** 32), draw(0), draw(0, "a")].map(
      String,
    );
    expect(new Set(all).size).toBe(all.length);
  });

  test("uniform numbers: in range, mean and variance of the uniform distribution", () => {
    const values = Float32Array.from({ length: 200_000 }, createRandom(1).uniform);
    expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
    expect(mean(values)).toBeCloseTo(0.5, 2);
    expect(variance(values)).toBeCloseTo(1 / 12, 3);
  });

  test("normal numbers: mean 0, the asked-for deviation, tails of the normal distribution", () => {
    const values = new Float32Array(200_000);
    createRandom(2).fillNormal(values, 0.5);
    expect(mean(values)).toBeCloseTo(0, 2);
    expect(Math.sqrt(variance(values))).toBeCloseTo(0.5, 2);
    const beyond = values.filter((value) => Math.abs(value) > 1).length / values.length; // two deviations: 4.55 %
    expect(beyond).toBeCloseTo(0.0455, 2);
  });

  test("shuffles to a permutation, every place about as often", () => {
    const first = new Array(5).fill(0);
    for (let seed = 0; seed < 5000; seed++) {
      const values = [0, 1, 2, 3, 4];
      createRandom(seed).shuffle(values);
      expect([...values].sort()).toEqual([0, 1, 2, 3, 4]);
      first[values[0] ?? 0]++;
    }
    for (const count of first) expect(Math.abs(count - 1000)).toBeLessThan(150);
    expect(Array.from({ length: 1000 }, () => createRandom(3).below(6)).every((value) => value >= 0 && value < 6)).toBe(true);
  });
});

const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
const variance = (values: Float32Array) => {
  const middle = mean(values);
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / values.length;
};
