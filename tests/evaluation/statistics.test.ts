import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { accuracyDifference, direction, lossDifference } from "../../src/evaluation/statistics.js";

interface Golden {
  shares: { cells: { both: number; gained: number; lost: number; neither: number }; interval: [number, number]; mcnemar: number }[];
  losses: { before: number[]; after: number[]; count: number[]; difference: number; interval: [number, number]; standardError: number }[];
}
const golden: Golden = JSON.parse(readFileSync(new URL("../golden/statistics/statistics.json", import.meta.url), "utf8"));

function outcomes({ both, gained, lost, neither }: Golden["shares"][number]["cells"]): [boolean[], boolean[]] {
  const repeat = (count: number, value: boolean) => Array.from({ length: count }, () => value);
  return [
    [...repeat(both, true), ...repeat(gained, false), ...repeat(lost, true), ...repeat(neither, false)],
    [...repeat(both, true), ...repeat(gained, true), ...repeat(lost, false), ...repeat(neither, false)],
  ];
}

describe("accuracyDifference", () => {
  it.each(golden.shares)("equals the multinomial interval of numpy: $cells", ({ cells, interval }) => {
    const [before, after] = outcomes(cells);
    const found = accuracyDifference(before, after);
    expect(found.difference).toBeCloseTo((cells.gained - cells.lost) / before.length, 12);
    expect(found.interval[0]).toBeCloseTo(interval[0], 12);
    expect(found.interval[1]).toBeCloseTo(interval[1], 12);
  });

  it.each(golden.shares)("covers zero exactly if scipy's exact McNemar test does not reject: $cells", ({ cells, mcnemar }) => {
    const covers = direction(accuracyDifference(...outcomes(cells))) === "none";
    // An exact test is conservative: between 0.02 and 0.1 the two may differ, and no golden stands there but the small ones.
    if (mcnemar < 0.02 || mcnemar > 0.1) expect(covers).toBe(mcnemar > 0.05);
  });

  it("holds the difference inside its interval, and the interval inside −1 to 1", () => {
    for (let n = 1; n <= 12; n++) {
      for (let gained = 0; gained <= n; gained++) {
        for (let lost = 0; lost <= n - gained; lost++) {
          const { difference, interval } = accuracyDifference(...outcomes({ both: 0, gained, lost, neither: n - gained - lost }));
          expect(interval[0]).toBeLessThanOrEqual(difference);
          expect(interval[1]).toBeGreaterThanOrEqual(difference);
          expect(interval[0]).toBeGreaterThanOrEqual(-1);
          expect(interval[1]).toBeLessThanOrEqual(1);
        }
      }
    }
  });

  it("by hand: 2 of 4 gained, none lost", () => {
    // n* = 6, c* = 2.5, b* = 0.5: centre 2/6, standard error √(3 − 4/6)/6
    const { difference, interval } = accuracyDifference([false, false, true, false], [true, true, true, false]);
    expect(difference).toBe(0.5);
    expect(interval[0]).toBeCloseTo(2 / 6 - (1.959964 * Math.sqrt(7 / 3)) / 6, 6);
    expect(interval[1]).toBeCloseTo(2 / 6 + (1.959964 * Math.sqrt(7 / 3)) / 6, 6);
  });

  it("refuses unpaired measurements", () => {
    expect(() => accuracyDifference([true], [])).toThrow("Paired measurements need the same items on both sides");
    expect(() => accuracyDifference([], [])).toThrow(RangeError);
  });
});

describe("lossDifference", () => {
  it.each(golden.losses)(
    "agrees with scipy's bootstrap within its noise: difference $difference",
    ({ before, after, count, ...expected }) => {
      const pair = (values: number[]) => values.map((nll, index) => ({ nll, count: count[index]! }));
      const found = lossDifference(pair(before), pair(after));
      expect(found.difference).toBeCloseTo(expected.difference, 10);
      // The 2.5 % quantile of 10 000 resamples has a standard deviation of about 0.027 standard errors.
      const tolerance = 0.1 * expected.standardError;
      expect(Math.abs(found.interval[0] - expected.interval[0])).toBeLessThan(tolerance);
      expect(Math.abs(found.interval[1] - expected.interval[1])).toBeLessThan(tolerance);
      expect(direction(found)).toBe(expected.interval[0] > 0 ? "up" : expected.interval[1] < 0 ? "down" : "none");
    },
  );

  it("is the same on every call", () => {
    const { before, after, count } = golden.losses[0]!;
    const pair = (values: number[]) => values.map((nll, index) => ({ nll, count: count[index]! }));
    expect(lossDifference(pair(before), pair(after))).toEqual(lossDifference(pair(before), pair(after)));
  });

  it("weighs texts by their tokens: by hand", () => {
    const found = lossDifference(
      [
        { nll: 10, count: 10 },
        { nll: 90, count: 30 },
      ],
      [
        { nll: 12, count: 10 },
        { nll: 84, count: 30 },
      ],
    );
    expect(found.difference).toBeCloseTo((2 - 6) / 40, 12);
    // Both draws of the first text: +0.2; both of the second: −0.2.
    expect(found.interval).toEqual([-0.2, 0.2]);
  });

  it("does not move when nothing changed", () => {
    const losses = [
      { nll: 3, count: 2 },
      { nll: 5, count: 4 },
    ];
    expect(lossDifference(losses, losses)).toEqual({ difference: 0, interval: [0, 0] });
    expect(direction(lossDifference(losses, losses))).toBe("none");
  });
});
