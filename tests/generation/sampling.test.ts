import { describe, expect, test } from "vitest";
import { createRandom, type Random } from "../../src/data/random.js";
import { RunError } from "../../src/errors.js";
import { argMax, assertNumbers, chooseToken, type SamplingSettings } from "../../src/generation/sampling.js";
import { largestDifference } from "../support/compare.js";
import { golden } from "../support/golden.js";
import { GREEDY } from "./support.js";

interface Goldens {
  readonly logits: readonly (readonly number[])[];
  readonly seen: readonly number[];
  readonly cases: readonly (SamplingSettings & {
    readonly probabilities: readonly (readonly number[])[];
    readonly greedy: readonly number[];
  })[];
}

const { logits, seen, cases } = golden<Goldens>("generation/sampling.json");

/** A generator whose next uniform is the given one. */
const fixed = (uniform: number): Random => ({ ...createRandom(0), uniform: () => uniform });

/** The share of [0, 1) on which each token is chosen, by a sweep of it: the distribution, to 1 part in `parts`. */
function distribution(row: readonly number[], settings: SamplingSettings, parts: number): number[] {
  const shares = new Array<number>(row.length).fill(0);
  for (let part = 0; part < parts; part++) {
    const id = chooseToken(Float32Array.from(row), seen, settings, fixed((part + 0.5) / parts));
    shares[id]! += 1 / parts;
  }
  return shares;
}

describe("against transformers' processors", () => {
  test.each(cases)(
    "temperature $temperature, top-k $topK, top-p $topP, penalty $repetitionPenalty",
    ({ probabilities, greedy, ...settings }) => {
      const parts = 2000;
      for (const [index, row] of logits.entries()) {
        const want = probabilities[index]!;
        const got = distribution(row, settings, parts);
        expect(largestDifference(got, want)).toBeLessThan(1.01 / parts);
        // A token that is filtered out is never drawn, even at the ends of the interval.
        for (const uniform of [0, 1 - 2 ** -53]) {
          expect(want[chooseToken(Float32Array.from(row), seen, settings, fixed(uniform))]).toBeGreaterThan(0);
        }
        expect(chooseToken(Float32Array.from(row), seen, { ...settings, temperature: 0 }, fixed(0.99))).toBe(greedy[index]);
      }
    },
  );

  test("the frequencies of a seeded draw are the probabilities", () => {
    const { probabilities, greedy: _greedy, ...settings } = cases.find(({ topK, topP }) => topK === 10 && topP === 0.85)!;
    const random = createRandom(17, "sampling");
    const draws = 20_000;
    const counts = new Array<number>(24).fill(0);
    for (let draw = 0; draw < draws; draw++) counts[chooseToken(Float32Array.from(logits[0]!), seen, settings, random)]!++;
    let chiSquare = 0;
    let kept = 0;
    for (const [id, probability] of probabilities[0]!.entries()) {
      if (probability === 0) expect(counts[id]).toBe(0);
      else {
        kept++;
        chiSquare += (counts[id]! - draws * probability) ** 2 / (draws * probability);
      }
    }
    expect(kept).toBeGreaterThan(3);
    expect(chiSquare).toBeLessThan(kept - 1 + 4 * Math.sqrt(2 * (kept - 1)));
  });
});

describe("choosing", () => {
  test("NaN is refused, and the token named; infinities are numbers", () => {
    expect(() => assertNumbers(Float32Array.of(1, Number.NaN, 3), 7)).toThrow(RunError);
    expect(() => assertNumbers(Float32Array.of(1, Number.NaN, 3), 7)).toThrow(/no numbers for token 7 of its answer/);
    assertNumbers(Float32Array.of(Number.NEGATIVE_INFINITY, 0, Number.POSITIVE_INFINITY), 1);
  });

  test("greedy takes the largest, the first of equals, and asks no random number", () => {
    const never = { ...createRandom(0), uniform: () => expect.unreachable("a number was drawn") };
    expect(chooseToken(Float32Array.of(-3, 2, 7, 7, -1), [], GREEDY, never)).toBe(2);
    expect(argMax(Float32Array.of(-5, -2, -9))).toBe(1);
  });

  test("a temperature near zero is greedy, whatever is drawn", () => {
    for (const uniform of [0, 0.5, 0.999]) {
      expect(chooseToken(Float32Array.of(1, 1.01, 0.5), [], { ...GREEDY, temperature: 1e-6 }, fixed(uniform))).toBe(1);
    }
  });

  test("logits far from zero do not overflow", () => {
    const settings = { ...GREEDY, temperature: 0.5 };
    expect(chooseToken(Float32Array.of(900, 1000, -1000), [], settings, fixed(0.5))).toBe(1);
    expect(chooseToken(Float32Array.of(-1000, -2000, -3000), [], settings, fixed(0.5))).toBe(0);
  });

  test("a token seen twice is penalised once", () => {
    const settings = { ...GREEDY, repetitionPenalty: 2 };
    expect(chooseToken(Float32Array.of(3, 1), [0, 0, 0], settings, fixed(0))).toBe(0); // 3 / 2, not 3 / 8
    expect(chooseToken(Float32Array.of(-1, -1.5), [0], settings, fixed(0))).toBe(1); // −1 · 2
    expect(chooseToken(Float32Array.of(3, 1), [99], settings, fixed(0))).toBe(0); // an id beyond the vocabulary is nothing
  });
});
