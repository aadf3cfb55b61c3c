import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildBatch } from "../../src/data/batch.js";
import { RunError } from "../../src/errors.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import { loadCheckpoint, saveCheckpoint } from "../../src/training/node/checkpoint-file.js";
import { createOptimizer, type OptimizerSettings } from "../../src/training/optimizer.js";
import { runTrainer, type TrainerParts, type TrainerState } from "../../src/training/trainer.js";
import { seededLlama } from "../support/seeded-llama.js";
import { loadTinyModel, tinyModelNames } from "../support/tiny-model.js";
import { drain, inTurn, openTrainee, randomExamples, settingsOf, stepsOf, surroundings } from "./support.js";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "lorikeet-trainer-"));
});
afterAll(() => rm(scratch, { recursive: true }));

const plainSgd: OptimizerSettings = { kind: "sgd", momentum: 0, weightDecay: 0 };
const adamw: OptimizerSettings = { kind: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 };
const batches = [buildBatch(randomExamples(3)), buildBatch(randomExamples(2, { seed: 5 }))];

/** Parts over two trainable values and made-up gradients: what the trainer does with them is known exactly. */
function madeUp(
  gradient: (number: number) => { loss: number; count?: number; values?: [number, number] },
  changes: Partial<TrainerParts> = {},
) {
  const trainables = Float32Array.of(1, -1);
  const parts: TrainerParts = {
    ...surroundings(),
    trainables,
    stream: inTurn(batches),
    optimizer: createOptimizer(plainSgd, 2),
    gradient: (_batch, number, _trainables, into) => {
      const { loss, count = 1, values = [1, 0] } = gradient(number);
      into.set(values);
      return Promise.resolve({ loss, count });
    },
    ...changes,
  };
  return parts;
}

async function hashFolder(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const hashes = names.map(async ({ parentPath, name }) => {
    const path = join(parentPath, name);
    return [
      path,
      createHash("sha256")
        .update(await readFile(path))
        .digest("hex"),
    ] as const;
  });
  return Object.fromEntries(await Promise.all(hashes));
}

describe("only the adapter changes", () => {
  test.each(tinyModelNames)("no byte of the checkpoint of %s, and no weight in the session that trained", async (name) => {
    const tiny = await loadTinyModel(name);
    const before = await hashFolder(tiny.folder);
    expect(Object.keys(before).some((path) => path.endsWith(".safetensors"))).toBe(true);
    const trainables = tiny.adapter.slice();
    const trainee = await openTrainee(tiny, { dropout: 0.1 });
    const scratchGradient = new Float32Array(trainables.length);
    // The session has its own view of the mapped file: what it would change there, only its own losses show.
    const lossWith = async (vector: Float32Array) => (await trainee.gradient(batches[0]!, 0, vector, scratchGradient)).loss;
    const withoutAdapter = () => lossWith(new Float32Array(trainables.length));
    const [base, adapted] = [await withoutAdapter(), await lossWith(trainables)];
    const run = runTrainer(settingsOf({ length: { kind: "steps", steps: 5 }, learningRate: 0.02 }), {
      ...surroundings(),
      gradient: trainee.gradient,
      stream: inTurn(batches),
      optimizer: createOptimizer(adamw, trainables.length),
      trainables,
    });
    await drain(run);
    expect(await withoutAdapter()).toBe(base);
    expect(await lossWith(trainables)).toBeLessThan(adapted);
    await trainee.release();
    expect(trainables.every((value, index) => value !== tiny.adapter[index])).toBe(true);
    expect(await hashFolder(tiny.folder)).toEqual(before);
  });

  test("no weight in memory", async () => {
    const { model, weights, layout, adapter, batch } = seededLlama();
    const bytes = () =>
      [...model.weights.keys()].map((name) =>
        createHash("sha256")
          .update(weights(name).data as Uint8Array)
          .digest("hex"),
      );
    const before = bytes();
    const program = await GradientProgram.compile(nodeEngine, { model, layout, maxTokens: 64 }, { target: "cpu", weights });
    const trainables = adapter.slice();
    const run = runTrainer(settingsOf({ length: { kind: "steps", steps: 5 }, learningRate: 0.02 }), {
      ...surroundings(),
      gradient: (given, _number, values, gradient) => program.run(given, values, gradient),
      stream: inTurn([batch]),
      optimizer: createOptimizer(adamw, trainables.length),
      trainables,
    });
    await drain(run);
    expect(trainables).not.toEqual(adapter);
    expect(bytes()).toEqual(before);
    await program.release();
  });
});

describe("a loss that is no number", () => {
  test("stops a real run that diverges; the checkpoint stays as it was", async () => {
    const tiny = await loadTinyModel("tiny-llama");
    const trainee = await openTrainee(tiny);
    const path = join(scratch, "diverged.safetensors");
    const trainables = tiny.adapter.slice();
    let saved: Buffer | undefined;
    const run = runTrainer(settingsOf({ length: { kind: "steps", steps: 20 }, learningRate: 1e25, clip: 0, saveEvery: 1 }), {
      ...surroundings(),
      gradient: trainee.gradient,
      stream: inTurn(batches),
      optimizer: createOptimizer(plainSgd, trainables.length),
      trainables,
      save: async (state) => {
        await saveCheckpoint(path, { identity: { run: {}, machine: {} }, state });
        saved = await readFile(path);
        return path;
      },
    });
    const failure: unknown = await drain(run).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RunError);
    expect((failure as RunError).message).toMatch(
      /^Update (\d+) \(batch \1\): the (loss|gradient) is (NaN|Infinity|-Infinity)\. The run stops here; the last checkpoint and the adapter saved with it, if there are any, are as they were\. Try a smaller --lr/,
    );
    const failed = Number(/^Update (\d+)/.exec((failure as RunError).message)?.[1]);
    expect(await readFile(path)).toEqual(saved);
    const { state } = await loadCheckpoint(path);
    expect(state.progress.step).toBe(failed - 1);
    expect(state.trainables).toEqual(trainables); // the failed update was not applied
    await trainee.release();
  });

  test("names the batch, not only the update, when several make one", async () => {
    const parts = madeUp((number) => ({ loss: number === 7 ? Number.NaN : 1 }));
    const run = runTrainer(settingsOf({ length: { kind: "steps", steps: 9 }, accumulate: 3 }), parts);
    await expect(drain(run)).rejects.toThrow("Update 3 (batch 8): the loss is NaN.");
  });

  test("is not hidden by a gradient that alone is no number", async () => {
    const parts = madeUp((number) => ({ loss: 1, values: [number === 2 ? Number.POSITIVE_INFINITY : 1, 0] }));
    await expect(drain(runTrainer(settingsOf({ length: { kind: "steps", steps: 9 } }), parts))).rejects.toThrow(
      "Update 3 (batch 3): the gradient is Infinity.",
    );
    expect(parts.trainables.every(Number.isFinite)).toBe(true);
  });

  test("a validation loss that is no number is never the best", async () => {
    const losses = [Number.NaN, 3, 4];
    const parts = madeUp(() => ({ loss: 1 }), { evaluate: () => Promise.resolve(losses.shift() ?? 0) });
    const { result } = await drain(runTrainer(settingsOf({ length: { kind: "steps", steps: 3 }, evaluateEvery: 1 }), parts));
    expect(result.state.progress).toMatchObject({ bestLoss: 3, bestStep: 2 });
  });
});

test("what is kept as the best is none of before the update that its form is reached at", async () => {
  const losses = [1, 4, 3, 5];
  const parts = { ...madeUp(() => ({ loss: 1 }), { evaluate: () => Promise.resolve(losses.shift() ?? 0) }), bestFrom: 2 };
  const { result, events } = await drain(runTrainer(settingsOf({ length: { kind: "steps", steps: 4 }, evaluateEvery: 1 }), parts));
  expect(events.flatMap((event) => (event.type === "evaluation" ? [event.best] : []))).toEqual([false, true, true, false]);
  expect(result.state.progress).toMatchObject({ bestLoss: 3, bestStep: 3 });
});

describe("an update", () => {
  test("divides by the window's tokens, then clips, then applies the rate", async () => {
    const counts = [3, 1];
    const parts = madeUp((number) => ({ loss: [6, 10][number]!, count: counts[number]!, values: number === 0 ? [9, 0] : [3, 16] }));
    const settings = settingsOf({ length: { kind: "steps", steps: 1 }, accumulate: 2, learningRate: 0.5, clip: 2.5 });
    const [event] = stepsOf((await drain(runTrainer(settings, parts))).events);
    expect(event).toMatchObject({ loss: 4, gradientNorm: 5, supervisedTokens: 4, epoch: 1 }); // (9+3, 16) / 4 = (3, 4)
    expect(parts.trainables[0]).toBeCloseTo(1 - 0.5 * 1.5, 5);
    expect(parts.trainables[1]).toBeCloseTo(-1 - 0.5 * 2, 5);
  });

  test.each([0, 100])("a clip of %d leaves a smaller gradient as it is", async (clip) => {
    const parts = madeUp(() => ({ loss: 1, values: [3, 4] }));
    await drain(runTrainer(settingsOf({ length: { kind: "steps", steps: 1 }, learningRate: 0.5, clip }), parts));
    expect([...parts.trainables]).toEqual([-0.5, -3]);
  });

  test("a run bounded by time stops after the update that fills it", async () => {
    const parts = madeUp(() => ({ loss: 1 })); // an update takes 10 ms
    const settings = settingsOf({ length: { kind: "seconds", seconds: 0.055 }, schedule: { kind: "linear", warmup: 0 } });
    const { events, result } = await drain(runTrainer(settings, parts));
    expect(stepsOf(events).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(stepsOf(events).at(-1)?.secondsLeft).toBe(0);
    expect(result.reason).toBe("finished");
    const rates = stepsOf(events).map(({ learningRate }) => learningRate);
    expect(rates.at(-1)).toBeLessThan(0.5 * rates[0]!); // the schedule follows the estimate of the whole
  });

  test("a run of batches ends with a window of those that are left, divided by their own count", async () => {
    const numbers: number[] = [];
    const parts = madeUp(
      (number) => {
        numbers.push(number);
        return { loss: number, values: [number, 0] };
      },
      { stream: inTurn(Array.from({ length: 7 }, () => batches[0]!)) },
    );
    const settings = settingsOf({ length: { kind: "batches", batches: 7 }, accumulate: 4, learningRate: 0.5, clip: 0 });
    const { events, result } = await drain(runTrainer(settings, parts));
    expect(numbers).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(stepsOf(events)).toMatchObject([
      { step: 1, steps: 2, loss: 1.5, supervisedTokens: 4 },
      { step: 2, steps: 2, loss: 5, supervisedTokens: 3, epoch: 1, secondsLeft: 0 },
    ]);
    expect(parts.trainables[0]).toBe(1 - 0.5 * 1.5 - 0.5 * 5);
    expect(result).toMatchObject({ reason: "finished", state: { progress: { step: 2, batches: 7 }, cursor: { epoch: 1, position: 0 } } });
  });

  test("an abort between the batches of an update throws them away", async () => {
    const abort = new AbortController();
    const numbers: number[] = [];
    const states: TrainerState[] = [];
    const parts = madeUp(
      (number) => {
        numbers.push(number);
        if (number === 5) abort.abort();
        return { loss: 1 };
      },
      {
        signal: abort.signal,
        stream: inTurn(Array.from({ length: 50 }, () => batches[0]!)),
        save: (state) => {
          states.push(structuredClone(state));
          return Promise.resolve("nowhere");
        },
      },
    );
    const settings = settingsOf({ length: { kind: "steps", steps: 9 }, accumulate: 4, learningRate: 0.5, clip: 0 });
    const { events, result } = await drain(runTrainer(settings, parts));
    expect(numbers).toEqual([0, 1, 2, 3, 4, 5]);
    expect(events.map(({ type, step }) => `${type} ${step}`)).toEqual(["step 1", "checkpoint 1"]);
    expect(result.reason).toBe("interrupted");
    expect(states).toMatchObject([{ progress: { step: 1, batches: 4 }, cursor: { position: 4 } }]);
    expect([...states[0]!.trainables]).toEqual([1 - 0.5, -1]);
  });

  test("time that is up between the batches of an update makes it the last, with the batches so far", async () => {
    const numbers: number[] = [];
    const parts = madeUp((number) => {
      numbers.push(number);
      return { loss: 1, values: [number, 0] };
    });
    // The clock shows 10 ms more each time it is read: once at the start of an update and once after each batch.
    const settings = settingsOf({ length: { kind: "seconds", seconds: 0.035 }, accumulate: 100, learningRate: 0.5, clip: 0 });
    const { events, result } = await drain(runTrainer(settings, parts));
    expect(numbers).toEqual([0, 1, 2, 3]);
    expect(stepsOf(events)).toMatchObject([{ step: 1, supervisedTokens: 4 }]);
    expect(parts.trainables[0]).toBe(1 - 0.5 * 1.5);
    expect(result).toMatchObject({ reason: "finished", state: { progress: { step: 1, batches: 4 } } });
  });

  test("aborted before it began, a run takes no update and still writes a checkpoint", async () => {
    const parts = madeUp(() => expect.unreachable("an update was taken"), { signal: AbortSignal.abort() });
    const { events, result } = await drain(runTrainer(settingsOf(), parts));
    expect(events).toEqual([{ type: "checkpoint", step: 0, path: "nowhere" }]);
    expect(result.reason).toBe("interrupted");
  });
});
