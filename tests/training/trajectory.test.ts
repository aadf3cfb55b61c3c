import { describe, expect, test } from "vitest";
import { buildBatch, openBatches } from "../../src/data/batch.js";
import { viewOf } from "../../src/lora/layout.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { createOptimizer, type OptimizerSettings } from "../../src/training/optimizer.js";
import { type Schedule, scheduleFactor } from "../../src/training/schedule.js";
import { runTrainer } from "../../src/training/trainer.js";
import { compileUpdate } from "../../src/training/update-program.js";
import { largestDifference, relativeError } from "../support/compare.js";
import { golden } from "../support/golden.js";
import { batchOf, examplesOf, loadTinyModel, type TinyFacts, tinyModelNames } from "../support/tiny-model.js";
import { drain, initialVector, inTurn, openTrainee, randomExamples, settingsOf, stepsOf, surroundings } from "./support.js";

describe.each(tinyModelNames)("%s", (name) => {
  test.each([
    ["adamw", "loops", "an example a row"],
    ["adamw", "loops", "several examples a row"],
    ["adamw", "a program of the engine", "an example a row"],
    ["sgd", "loops", "an example a row"],
  ] as const)("the trajectory of %s by %s, %s, follows PEFT's from the same A and B", async (kind, by, layout) => {
    const tiny = await loadTinyModel(name);
    const { options, steps, loss, gradientNorm } = tiny.facts.trajectories[kind];
    const trainee = await openTrainee(tiny);
    const trainables = await initialVector(tiny);
    const rule = { kind, ...options } as unknown as OptimizerSettings;
    const optimizer =
      by === "loops" || rule.kind === "sgd"
        ? createOptimizer(rule, trainables.length)
        : await compileUpdate(nodeEngine, rule, trainables.length, { target: "cpu" });
    const settings = settingsOf({
      length: { kind: "steps", steps },
      learningRate: options.learningRate!,
      clip: options.clip!,
    });
    const stream = inTurn(
      tiny.facts.batches.map((batch) => (layout === "an example a row" ? batchOf(batch) : buildBatch(examplesOf(batch)))),
    );
    const run = runTrainer(settings, { gradient: trainee.gradient, stream, optimizer, trainables, ...surroundings() });
    const taken = stepsOf((await drain(run)).events);

    const losses = taken.map((event) => event.loss);
    expect(losses).toHaveLength(steps);
    expect(largestDifference(losses, loss)).toBeLessThan(1e-4);
    const norms = taken.map((event) => event.gradientNorm);
    expect(relativeError(norms, gradientNorm)).toBeLessThan(1e-4);
    for (const [entryName, entry] of tiny.layout.entries) {
      const want = await tiny.golden.readFloat32(`trajectory.${kind}.final/base_model.model.${entryName}`);
      expect(relativeError(viewOf(trainables, entry), want), entryName).toBeLessThan(1e-4);
    }
    await trainee.release();
  });
});

describe("schedules", () => {
  const { schedules } = golden<
    TinyFacts & { schedules: { steps: number; warmupSteps: number; factors: Record<Schedule["kind"], readonly number[]> } }
  >("tiny-llama/golden.json");

  test.each(["constant", "linear", "cosine"] as const)("%s is that of transformers", async (kind) => {
    const { steps, warmupSteps, factors } = schedules;
    const got = factors[kind].map((_, step) => scheduleFactor({ kind, warmupSteps }, step, steps));
    expect(largestDifference(got, factors[kind])).toBeLessThan(1e-12);

    // The trainer takes the factor of the updates before this one, and the warm-up as a share of the run.
    const trainables = new Float32Array(1);
    const settings = settingsOf({
      length: { kind: "steps", steps },
      learningRate: 0.3,
      schedule: { kind, warmup: warmupSteps / steps },
    });
    const run = runTrainer(settings, {
      ...surroundings(),
      trainables,
      stream: inTurn([buildBatch(randomExamples(1))]),
      optimizer: createOptimizer({ kind: "sgd", momentum: 0, weightDecay: 0 }, 1),
      gradient: (_batch, _number, _trainables, gradient) => {
        gradient[0] = 0.5;
        return Promise.resolve({ loss: 1, count: 1 });
      },
    });
    const taken = stepsOf((await drain(run)).events);
    expect(
      largestDifference(
        taken.map((event) => event.learningRate),
        factors[kind].map((factor) => 0.3 * factor),
      ),
    ).toBeLessThan(1e-12);
    const sum = factors[kind].reduce((total, factor) => total + factor, 0);
    expect(trainables[0]).toBeCloseTo(-0.3 * 0.5 * sum, 4); // each update is the rate times the gradient
  });

  test("without a warm-up the first update has the full rate, and the end is the end", () => {
    expect(scheduleFactor({ kind: "cosine", warmupSteps: 0 }, 0, 10)).toBe(1);
    expect(scheduleFactor({ kind: "linear", warmupSteps: 0 }, 10, 10)).toBe(0);
    expect(scheduleFactor({ kind: "cosine", warmupSteps: 0 }, 14, 10)).toBeCloseTo(0, 12); // a run bounded by time may run over its estimate
  });
});

describe("accumulation", () => {
  const optimizers: OptimizerSettings[] = [
    { kind: "sgd", momentum: 0, weightDecay: 0 },
    { kind: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-6, weightDecay: 0 },
  ];

  test.each(optimizers)("a batch of 8 of unequal lengths equals 8 of 1, $kind", async (optimizerSettings) => {
    const tiny = await loadTinyModel("tiny-llama");
    const trainee = await openTrainee(tiny);
    const examples = randomExamples(8, { shortest: 2, longest: 40 });
    const supervised = examples.map((example) => example.supervised.reduce((sum, flag) => sum + flag, 0));
    expect(Math.max(...supervised)).toBeGreaterThan(4 * Math.min(...supervised)); // a mean of means would be far off

    const update = async (batchSize: number, accumulate: number) => {
      const trainables = tiny.adapter.slice();
      const run = runTrainer(settingsOf({ length: { kind: "steps", steps: 1 }, accumulate, learningRate: 1 }), {
        ...surroundings(),
        gradient: trainee.gradient,
        stream: openBatches(examples, { batchSize, seed: 1 }),
        optimizer: createOptimizer(optimizerSettings, trainables.length),
        trainables,
      });
      const [event] = stepsOf((await drain(run)).events);
      return { event: event!, change: trainables.map((value, index) => value - tiny.adapter[index]!) };
    };
    const whole = await update(8, 1);
    const parts = await update(1, 8);
    expect(relativeError(parts.change, whole.change)).toBeLessThan(1e-5);
    expect(parts.event.loss / whole.event.loss).toBeCloseTo(1, 6);
    expect(parts.event.gradientNorm / whole.event.gradientNorm).toBeCloseTo(1, 6);
    expect(parts.event.supervisedTokens).toBe(whole.event.supervisedTokens);
    expect(parts.event.tokens).toBe(examples.reduce((sum, example) => sum + example.ids.length, 0));
    expect(parts.event.tokens).toBe(whole.event.tokens);
    await trainee.release();
  });
});
