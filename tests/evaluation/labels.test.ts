import { describe, expect, test } from "vitest";
import { classScores, confusionMatrix } from "../../src/evaluation/labels/confusion.js";
import { pearson, spearman } from "../../src/evaluation/labels/correlation.js";
import { fitLinearProbe, probabilities } from "../../tools/demo-classify/linear-probe.js";
import { largestDifference } from "../support/compare.js";
import { golden } from "../support/golden.js";

interface ClassCase {
  readonly name: string;
  readonly classes: number;
  readonly expected: readonly number[];
  readonly predicted: readonly number[];
  readonly confusion: readonly (readonly number[])[];
  readonly accuracy: number;
  readonly macroF1: number;
  readonly microF1: number;
  readonly binaryF1?: number;
  readonly matthews: number;
}

interface Goldens {
  readonly classes: readonly ClassCase[];
  readonly correlations: readonly {
    readonly name: string;
    readonly a: readonly number[];
    readonly b: readonly number[];
    readonly pearson: number | null;
    readonly spearman: number | null;
  }[];
  readonly probes: readonly {
    readonly classes: number;
    readonly strength: number;
    readonly features: readonly (readonly number[])[];
    readonly labels: readonly number[];
    readonly trained: number;
    readonly probabilities: readonly (readonly number[])[];
  }[];
}

const { classes, correlations, probes } = golden<Goldens>("labels/labels.json");

describe("scores of a classification are scikit-learn's", () => {
  test.each(classes)("$name", ({ expected, predicted, classes: count, confusion, ...want }) => {
    const matrix = confusionMatrix(expected, predicted, count);
    expect(matrix).toEqual(confusion);
    const scores = classScores(matrix);
    for (const key of ["accuracy", "macroF1", "microF1", "matthews"] as const) expect(scores[key], key).toBeCloseTo(want[key], 12);
    if (want.binaryF1 === undefined) expect(scores.binaryF1).toBeUndefined();
    else expect(scores.binaryF1).toBeCloseTo(want.binaryF1, 12);
  });

  test("a class out of range is refused", () => {
    expect(() => confusionMatrix([0, 3], [0, 1], 3)).toThrow("example 1: there is no class 3 or 1");
  });
});

describe("correlations are SciPy's", () => {
  test.each(correlations)("$name", ({ a, b, pearson: linear, spearman: ranked }) => {
    const same = (got: number, want: number | null) => {
      if (want === null) expect(got).toBeNaN();
      else expect(Math.abs(got - want)).toBeLessThan(1e-9);
    };
    same(pearson(a, b), linear);
    same(spearman(a, b), ranked);
  });
});

test("correlations of more values than a call takes arguments", () => {
  const values = Float64Array.from({ length: 200_000 }, (_, index) => index);
  expect(pearson(values, values)).toBeCloseTo(1, 9);
  expect(
    spearman(
      values,
      values.map((value) => -(value ** 3)),
    ),
  ).toBeCloseTo(-1, 9);
});

describe("a linear probe is scikit-learn's logistic regression", () => {
  test.each(probes)("$classes classes, strength $strength", ({ classes: classCount, strength, features, labels, trained, ...want }) => {
    const rows = features.map((row) => Float32Array.from(row));
    const probe = fitLinearProbe(
      { features: Float32Array.from(rows.slice(0, trained).flatMap((row) => [...row])), classes: labels.slice(0, trained), classCount },
      strength,
    );
    const got = rows.slice(trained).flatMap((row) => [...probabilities(probe, row)]);
    expect(largestDifference(got, want.probabilities.flat())).toBeLessThan(1e-6);
  });
});
