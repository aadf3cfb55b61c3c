import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildBatch, openBatches } from "../../src/data/batch.js";
import { meanLoss } from "../../src/training/loss-program.js";
import { loadCheckpoint, type SavedCheckpoint, saveCheckpoint } from "../../src/training/node/checkpoint-file.js";
import { createOptimizer, type OptimizerSettings } from "../../src/training/optimizer.js";
import { runTrainer, type TrainerEvent, type TrainerResult, type TrainerSettings } from "../../src/training/trainer.js";
import { loadTinyModel, type TinyModel } from "../support/tiny-model.js";
import { drain, initialVector, openTrainee, randomExamples, settingsOf, steadyClock } from "./support.js";

// A run with everything that has a state: dropout, accumulation over the end of an epoch (7 batches, 2 to an update),
// moments, a schedule, evaluation and the adapter that was best.

const settings: TrainerSettings = settingsOf({
  length: { kind: "steps", steps: 13 },
  learningRate: 0.05,
  schedule: { kind: "cosine", warmup: 0.2 },
  accumulate: 2,
  evaluateEvery: 3,
  saveEvery: 4,
});
const identity = { run: { model: "tiny-llama" }, machine: { threads: 1 } };
const train = randomExamples(13, { seed: 4 });
const validation = buildBatch(randomExamples(5, { seed: 8 }));

let scratch: string;
let tiny: TinyModel;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "lorikeet-resume-"));
  tiny = await loadTinyModel("tiny-llama");
});
afterAll(() => rm(scratch, { recursive: true }));

interface Watched {
  readonly watch?: (event: TrainerEvent, abort: AbortController) => unknown;
  /** Called before each batch, with its number in the run. */
  readonly taking?: (number: number, abort: AbortController) => unknown;
  /** Called before each evaluation. */
  readonly evaluating?: (abort: AbortController) => unknown;
  readonly saved?: SavedCheckpoint;
}

/** Starts or resumes the run as a process of its own would: programs, dropout, stream and optimizer made anew. */
async function start(path: string, optimizerSettings: OptimizerSettings, { watch, taking, evaluating, saved }: Watched = {}) {
  const trainee = await openTrainee(tiny, { dropout: 0.2 });
  const abort = new AbortController();
  const trainables = saved?.state.trainables ?? (await initialVector(tiny));
  const run = runTrainer(settings, {
    gradient: (batch, number, values, into) => {
      taking?.(number, abort);
      return trainee.gradient(batch, number, values, into);
    },
    evaluate: async (values) => {
      evaluating?.(abort);
      abort.signal.throwIfAborted();
      return (await meanLoss(trainee.loss, [validation], values, () => Promise.resolve())).loss;
    },
    stream: openBatches(train, { batchSize: 2, seed: 6 }, saved?.state.cursor),
    optimizer: createOptimizer(optimizerSettings, trainables.length, saved?.state.optimizer),
    trainables,
    save: async (state) => {
      await saveCheckpoint(path, { identity, state });
      return path;
    },
    now: steadyClock(),
    peakBytes: () => 0,
    breathe: () => Promise.resolve(),
    signal: abort.signal,
    resumed: saved?.state,
  });
  const done = await drain(run, (event) => watch?.(event, abort));
  await trainee.release();
  return done;
}

/** What must not depend on interruptions: speeds and times left are means over what this process did. */
function lasting(events: readonly TrainerEvent[]): TrainerEvent[] {
  return events.flatMap((event): TrainerEvent[] => {
    if (event.type === "step") return [{ ...event, tokensPerSecond: 0, secondsLeft: 0 }];
    return event.type === "evaluation" ? [event] : [];
  });
}

/** A copy with its own vectors, since the trainer goes on changing them. */
const frozen = ({ reason, state }: TrainerResult) => structuredClone({ reason, state });

const adamw: OptimizerSettings = { kind: "adamw", beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 };
const sgd: OptimizerSettings = { kind: "sgd", momentum: 0.9, weightDecay: 0 };

/** Resumes from a checkpoint until the run ends, and compares everything with the whole run. */
async function expectSame(whole: Whole, optimizer: OptimizerSettings, path: string, before: readonly TrainerEvent[]) {
  const saved = await loadCheckpoint(path);
  expect(saved.identity).toEqual(identity);
  const rest = await start(path, optimizer, { saved });
  expect(frozen(rest.result)).toEqual(frozen(whole.result));
  const upToThere = before.filter((event) => event.step <= saved.state.progress.step);
  expect([...lasting(upToThere), ...lasting(rest.events)]).toEqual(lasting(whole.events));
  expect((await loadCheckpoint(path)).state).toEqual(frozen(whole.result).state); // and so says the disk
}

interface Whole {
  readonly events: TrainerEvent[];
  readonly result: TrainerResult;
}

const abortAfter = (last: number): Watched => ({ watch: (event, abort) => event.type === "step" && event.step === last && abort.abort() });

describe("resumed equals uninterrupted, bit for bit", () => {
  let whole: Whole;
  beforeAll(async () => {
    whole = await start(join(scratch, "whole.safetensors"), adamw);
  });

  test("the whole run evaluated, and keeps an adapter that is not the last", async () => {
    const { reason, state } = whole.result;
    expect(reason).toBe("finished");
    expect(whole.events.map(({ type, step }) => `${type} ${step}`)).toEqual([
      ...["step 1", "step 2", "step 3", "evaluation 3", "step 4", "checkpoint 4", "step 5", "step 6", "evaluation 6", "step 7", "step 8"],
      ...["checkpoint 8", "step 9", "evaluation 9", "step 10", "step 11", "step 12", "evaluation 12", "checkpoint 12"],
      ...["step 13", "evaluation 13", "checkpoint 13"],
    ]);
    const evaluations = whole.events.flatMap((event) => (event.type === "evaluation" ? [event] : []));
    const lowest = evaluations.reduce((best, event) => (event.loss < best.loss ? event : best));
    expect(state.progress).toMatchObject({ step: 13, batches: 26, bestLoss: lowest.loss, bestStep: lowest.step, evaluatedStep: 13 });
    expect(lowest.step).toBeLessThan(13); // so that "best" has something to lose
    expect(state.best).not.toEqual(state.trainables);
    expect(state.cursor).toMatchObject({ epoch: 3, position: 5 });
  });

  test.each([1, 5])("aborted after update %d", async (last) => {
    const path = join(scratch, `abort-${last}.safetensors`);
    const { events, result } = await start(path, adamw, abortAfter(last));
    expect(result.reason).toBe("interrupted");
    expect(result.state.progress.step).toBe(last);
    expect(events.at(-1)).toEqual({ type: "checkpoint", step: last, path });
    await expectSame(whole, adamw, path, events);
  });

  test("aborted after the last update, before its evaluation", async () => {
    const path = join(scratch, "last.safetensors");
    const { events, result } = await start(path, adamw, abortAfter(13));
    expect(result.reason).toBe("interrupted");
    await expectSame(whole, adamw, path, events);
  });

  test("aborted inside the window of update 7", async () => {
    const path = join(scratch, "inside.safetensors");
    const { events, result } = await start(path, adamw, { taking: (number, abort) => number === 12 && abort.abort() });
    expect(result.reason).toBe("interrupted");
    expect(events.at(-1)).toEqual({ type: "checkpoint", step: 6, path });
    expect((await loadCheckpoint(path)).state.progress.batches).toBe(12);
    await expectSame(whole, adamw, path, events);
  });

  test("aborted during the last evaluation", async () => {
    const path = join(scratch, "last-evaluation.safetensors");
    let evaluations = 0;
    const { events, result } = await start(path, adamw, { evaluating: (abort) => ++evaluations === 5 && abort.abort() });
    expect(result.reason).toBe("interrupted");
    expect(events.at(-1)).toEqual({ type: "checkpoint", step: 13, path });
    expect((await loadCheckpoint(path)).state.progress.evaluatedStep).toBe(12);
    await expectSame(whole, adamw, path, events);
  });

  test("aborted during an evaluation", async () => {
    const path = join(scratch, "evaluating.safetensors");
    let evaluations = 0;
    const { events, result } = await start(path, adamw, { evaluating: (abort) => ++evaluations === 2 && abort.abort() });
    expect(result.reason).toBe("interrupted");
    expect(events.at(-1)).toEqual({ type: "checkpoint", step: 6, path });
    await expectSame(whole, adamw, path, events);
  });

  test("interrupted, resumed, and killed after a checkpoint", async () => {
    const path = join(scratch, "twice.safetensors");
    const first = await start(path, adamw, abortAfter(2));
    const killed = start(path, adamw, {
      saved: await loadCheckpoint(path),
      watch: (event) => {
        if (event.type === "step" && event.step === 11) throw new Error("killed");
      },
    });
    await expect(killed).rejects.toThrow("killed"); // updates 9 to 11 are lost with it: they are taken again
    expect((await loadCheckpoint(path)).state.progress.step).toBe(8);
    const again = whole.events.filter(({ step }) => step > 2 && step <= 8);
    await expectSame(whole, adamw, path, [...first.events, ...again]);
  });

  test("with momentum, aborted after update 7", async () => {
    const path = join(scratch, "momentum.safetensors");
    const uninterrupted = await start(join(scratch, "whole-momentum.safetensors"), sgd);
    const { events } = await start(path, sgd, abortAfter(7));
    await expectSame(uninterrupted, sgd, path, events);
  });

  test("a finished run that is resumed is finished", async () => {
    const path = join(scratch, "whole.safetensors");
    const again = await start(path, adamw, { saved: await loadCheckpoint(path) });
    expect(again.events).toEqual([{ type: "checkpoint", step: 13, path }]);
    expect(frozen(again.result)).toEqual(frozen(whole.result));
  });
});

test("a failure of the evaluation that no abort caused is not swallowed", async () => {
  const path = join(scratch, "failing.safetensors");
  const evaluating = () => {
    throw new Error("out of memory");
  };
  await expect(start(path, adamw, { evaluating })).rejects.toThrow("out of memory");
});
