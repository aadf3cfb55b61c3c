import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { accuracyDifference, direction, lossDifference } from "../../src/evaluation/statistics.js";
import { studentQuantile } from "../../src/evaluation/student-t.js";
import { Random } from "../support/random.js";

interface Golden {
  shares: { cells: { both: number; gained: number; lost: number; neither: number }; interval: [number, number]; mcnemar: number }[];
  losses: { before: number[]; after: number[]; count: number[]; difference: number; interval: [number, number] }[];
  quantiles: { share: number; degrees: number; t: number }[];
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

const paired = (nlls: readonly number[], counts: readonly number[]) => nlls.map((nll, index) => ({ nll, count: counts[index]! }));

describe("lossDifference", () => {
  it.each(golden.losses)("equals numpy's jackknife and scipy's t: difference $difference", ({ before, after, count, ...expected }) => {
    const found = lossDifference(paired(before, count), paired(after, count));
    expect(found.difference).toBeCloseTo(expected.difference, 12);
    expect(found.interval?.[0]).toBeCloseTo(expected.interval[0], 10);
    expect(found.interval?.[1]).toBeCloseTo(expected.interval[1], 10);
    expect(direction(found)).toBe(expected.interval[0] > 0 ? "up" : expected.interval[1] < 0 ? "down" : "none");
  });

  it.each([
    [3, 50, 50],
    [5, 50, 50],
    [3, 10, 200],
    [6, 10, 200],
  ])("with %i texts of %i to %i tokens holds the true difference in 91 to 97 of 100 measurements", (n, shortest, longest) => {
    const truth = 0.1;
    const random = new Random(n);
    const measurements = 4000;
    let held = 0;
    for (let measurement = 0; measurement < measurements; measurement++) {
      const counts = Array.from({ length: n }, () => shortest + random.below(longest - shortest + 1));
      const changes = counts.map((count) => count * (truth + 0.2 * random.gaussian()));
      const { interval } = lossDifference(paired(new Array<number>(n).fill(0), counts), paired(changes, counts));
      if (interval !== null && interval[0] <= truth && truth <= interval[1]) held++;
    }
    expect(held / measurements).toBeGreaterThan(0.91);
    expect(held / measurements).toBeLessThan(0.97);
  });

  it("weighs texts by their tokens, and gives no interval with fewer than three: by hand", () => {
    const found = lossDifference(paired([10, 90], [10, 30]), paired([12, 84], [10, 30]));
    expect(found.difference).toBeCloseTo((2 - 6) / 40, 12);
    expect(found.interval).toBeNull();
    expect(direction(found)).toBe("unknown");
  });

  it("does not count a text without tokens", () => {
    const [before, after] = [paired([10, 90, 0], [10, 30, 0]), paired([12, 84, 0], [10, 30, 0])];
    expect(lossDifference(before, after).interval).toBeNull();
  });

  it("does not move when nothing changed", () => {
    const losses = paired([3, 5, 8], [2, 4, 5]);
    expect(lossDifference(losses, losses)).toEqual({ difference: 0, interval: [0, 0] });
    expect(direction(lossDifference(losses, losses))).toBe("none");
  });
});

describe("studentQuantile", () => {
  it.each(golden.quantiles)("equals scipy's: $share within, $degrees degrees", ({ share, degrees, t }) => {
    expect(studentQuantile(share, degrees) / t).toBeCloseTo(1, 10);
  });
});
