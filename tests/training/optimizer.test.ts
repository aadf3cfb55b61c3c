import { describe, expect, test } from "vitest";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { addTo, norm, scale } from "../../src/training/kernels/vector.js";
import { createOptimizer, type OptimizerSettings } from "../../src/training/optimizer.js";
import { compileUpdate } from "../../src/training/update-program.js";
import { largestDifference } from "../support/compare.js";
import { golden } from "../support/golden.js";

type Case = OptimizerSettings & {
  readonly start: readonly number[];
  readonly gradients: readonly (readonly number[])[];
  readonly learningRates: readonly number[];
  readonly after: readonly (readonly number[])[];
};

const { cases } = golden<{ cases: readonly Case[] }>("training/optimizers.json");

const unclipped = ({ learningRates }: Case, index: number) => ({ count: 1, clip: 0, learningRate: learningRates[index]!, step: index + 1 });

describe("optimizers against PyTorch in double precision", () => {
  test.each(cases)("$kind, weight decay $weightDecay", async (sample) => {
    const vector = Float32Array.from(sample.start);
    const optimizer = createOptimizer(sample, vector.length);
    for (const [index, gradient] of sample.gradients.entries()) {
      await optimizer.update(vector, Float32Array.from(gradient), unclipped(sample, index));
      // fp32 storage of vector and moments: a few ulps of values around 1
      expect(largestDifference(vector, sample.after[index]!)).toBeLessThan(1e-6);
    }
  });

  test.each(cases.filter(({ kind }) => kind === "adamw"))(
    "the same as a program of the engine, weight decay $weightDecay",
    async (sample) => {
      const vector = Float32Array.from(sample.start);
      const optimizer = await compileUpdate(nodeEngine, { ...sample, kind: "adamw" } as never, vector.length, { target: "cpu" });
      for (const [index, gradient] of sample.gradients.entries()) {
        await optimizer.update(vector, Float32Array.from(gradient), unclipped(sample, index));
        expect(largestDifference(vector, sample.after[index]!)).toBeLessThan(2e-6); // the arithmetic is fp32 too
      }
      await optimizer.release();
    },
  );

  test("a gradient that is not finite changes nothing", async () => {
    const adamw: OptimizerSettings = { kind: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 };
    const program = await compileUpdate(nodeEngine, adamw, 2, { target: "cpu" });
    for (const optimizer of [createOptimizer(adamw, 2), program]) {
      const vector = Float32Array.of(1, 2);
      const norm = await optimizer.update(vector, Float32Array.of(1, Number.POSITIVE_INFINITY), {
        count: 1,
        clip: 1,
        learningRate: 0.1,
        step: 1,
      });
      expect(Number.isFinite(norm)).toBe(false);
      expect(vector).toEqual(Float32Array.of(1, 2));
      expect(Object.values(optimizer.state)).toEqual([new Float32Array(2), new Float32Array(2)]);
    }
    await program.release();
  });

  test("a saved state goes on exactly where it was", async () => {
    for (const sample of cases) {
      const step = (optimizer: ReturnType<typeof createOptimizer>, vector: Float32Array, index: number) =>
        optimizer.update(vector, Float32Array.from(sample.gradients[index]!), unclipped(sample, index));
      const straight = Float32Array.from(sample.start);
      const one = createOptimizer(sample, straight.length);
      for (const index of sample.gradients.keys()) await step(one, straight, index);

      const broken = Float32Array.from(sample.start);
      const first = createOptimizer(sample, broken.length);
      for (const index of [0, 1, 2]) await step(first, broken, index);
      const saved = Object.fromEntries(Object.entries(first.state).map(([name, values]) => [name, values.slice()]));
      const second = createOptimizer(sample, broken.length, saved);
      for (const index of [3, 4, 5]) await step(second, broken, index);
      expect(broken).toEqual(straight);
      expect(second.state).toEqual(one.state);
    }
  });

  test("a state of another optimizer or another length is refused by name", () => {
    const adamw: OptimizerSettings = { kind: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };
    expect(() => createOptimizer(adamw, 3, { velocity: new Float32Array(3) })).toThrow('"firstMoment" has 0 values, not 3');
    const short = { firstMoment: new Float32Array(3), secondMoment: new Float32Array(2) };
    expect(() => createOptimizer(adamw, 3, short)).toThrow('"secondMoment" has 2 values, not 3');
  });
});

test("vector kernels", () => {
  const vector = Float32Array.of(3, -4, 0);
  expect(norm(vector)).toBe(5);
  // Squares beyond the range of float32 do not overflow.
  expect(norm(Float32Array.of(3e30, 4e30)) / 5e30).toBeCloseTo(1, 6);
  scale(vector, 0.5);
  expect([...vector]).toEqual([1.5, -2, 0]);
  addTo(vector, Float32Array.of(1, 1, 1));
  expect([...vector]).toEqual([2.5, -1, 1]);
});
