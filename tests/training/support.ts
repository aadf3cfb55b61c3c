import type { Batch, BatchStream } from "../../src/data/batch.js";
import type { Example } from "../../src/data/example.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { DropoutSource } from "../../src/training/dropout-source.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import { LossProgram } from "../../src/training/loss-program.js";
import type { TrainerEvent, TrainerParts, TrainerResult, TrainerSettings } from "../../src/training/trainer.js";
import { Random } from "../support/random.js";
import { adapterVector, type TinyModel } from "../support/tiny-model.js";

/** Longer than any batch of these tests. */
export const MAX_TOKENS = 128;

/** One thread: the order of every sum, and so every bit, is then the same in each run. */
export const compileOptions = (tiny: TinyModel) =>
  ({ target: "cpu", weights: tiny.weights, weightsFolder: tiny.weightsFolder, threads: 1 }) as const;

/** A tiny model's programs as a trainer is handed them. */
export interface Trainee {
  readonly gradient: TrainerParts["gradient"];
  readonly loss: LossProgram;
  release(): Promise<void>;
}

export async function openTrainee(tiny: TinyModel, { dropout = 0, seed = 9 } = {}): Promise<Trainee> {
  const source = dropout === 0 ? undefined : new DropoutSource(dropout, seed);
  const sizes = { model: tiny.model, layout: tiny.layout, maxTokens: MAX_TOKENS };
  const program = await GradientProgram.compile(nodeEngine, { ...sizes, dropout: source }, compileOptions(tiny));
  const loss = await LossProgram.compile(nodeEngine, sizes, compileOptions(tiny));
  return {
    loss,
    gradient: (batch, number, trainables, gradient) => {
      source?.draw(number, batch);
      return program.run(batch, trainables, gradient);
    },
    release: async () => {
      await program.release();
      await loss.release();
    },
  };
}

/** The A and B that the golden trajectories start from. */
export const initialVector = (tiny: TinyModel) => adapterVector(tiny.layout, tiny.golden, "trajectory.initial/base_model.model.");

/** The given batches in turn, for ever. */
export function inTurn(batches: readonly Batch[]): BatchStream {
  let given = 0;
  return {
    batchesPerEpoch: batches.length,
    next: () => batches[given++ % batches.length]!,
    cursor: () => ({
      seed: 0,
      epoch: Math.floor(given / batches.length),
      position: given % batches.length,
      batchSize: 1,
      examples: batches.length,
    }),
  };
}

/** Random token sequences of unequal lengths; the second part of each is supervised. */
export function randomExamples(count: number, { seed = 3, shortest = 3, longest = 20, vocabulary = 96 } = {}): Example[] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_, index) => {
    const length = shortest + random.below(longest - shortest + 1);
    const prompt = 1 + random.below(length - 1);
    return {
      ids: Int32Array.from({ length }, () => 3 + random.below(vocabulary - 3)),
      supervised: Uint8Array.from({ length }, (_, t) => Number(t >= prompt)),
      source: { file: "random.jsonl", line: index + 1 },
      prompt: `${index}`,
      row: { kind: "text", text: "" },
    };
  });
}

/** 2 updates of plain batches, nothing measured or saved on the way. */
export const settingsOf = (changes: Partial<TrainerSettings> = {}): TrainerSettings => ({
  length: { kind: "steps", steps: 2 },
  learningRate: 1e-2,
  schedule: { kind: "constant", warmup: 0 },
  clip: 1,
  accumulate: 1,
  evaluateEvery: 0,
  saveEvery: 0,
  ...changes,
});

/** A clock by which every update takes 10 ms, so that times can be compared too. */
export function steadyClock(): () => number {
  let now = 0;
  return () => {
    now += 10;
    return now;
  };
}

/** What a trainer needs beside its mathematics. */
export const surroundings = (): Pick<TrainerParts, "save" | "now" | "peakBytes" | "breathe"> => ({
  save: () => Promise.resolve("nowhere"),
  now: steadyClock(),
  peakBytes: () => 0,
  breathe: () => Promise.resolve(),
});

/** Runs a trainer to its end; `watch` sees every event as it comes. */
export async function drain(
  run: AsyncGenerator<TrainerEvent, TrainerResult>,
  watch: (event: TrainerEvent) => void = () => {},
): Promise<{ events: TrainerEvent[]; result: TrainerResult }> {
  const events: TrainerEvent[] = [];
  for (;;) {
    const next = await run.next();
    if (next.done) return { events, result: next.value };
    events.push(next.value);
    watch(next.value);
  }
}

export const stepsOf = (events: readonly TrainerEvent[]) => events.flatMap((event) => (event.type === "step" ? [event] : []));
