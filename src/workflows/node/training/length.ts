import type { RunLength, TrainerSettings } from "../../../training/trainer.js";
import type { Duration, TrainSettings } from "../../options.js";

/** Evaluations in a run: as many show a curve. */
const DEFAULT_EVALUATIONS = 10;
/** Most updates between two checkpoints of a run bounded by time. */
const UNTIMED_PERIOD = 100;

/** Batches in so many epochs. */
export function batchesIn(epochs: number, batchesPerEpoch: number): number {
  // 1.1 epochs of 10 batches are 11, not the 11.000000000000002 of floating point.
  return Math.max(1, Math.ceil(Number((epochs * batchesPerEpoch).toFixed(6))));
}

/** Updates in so many epochs: the last one of a run takes the batches that are left. */
export function updatesIn(epochs: number, batchesPerEpoch: number, accumulate: number): number {
  return Math.ceil(batchesIn(epochs, batchesPerEpoch) / accumulate);
}

/** Updates of a run; undefined for one that is bounded by time. */
export function updatesOf(duration: Duration, batchesPerEpoch: number, accumulate: number): number | undefined {
  switch (duration.kind) {
    case "steps":
      return duration.steps;
    case "epochs":
      return updatesIn(duration.epochs, batchesPerEpoch, accumulate);
    case "minutes":
      return undefined;
  }
}

/** What the trainer is told of a run: its length, its rates, and when it measures and saves. */
export function trainerSettings(settings: TrainSettings, batchesPerEpoch: number, withinSeconds: number | undefined): TrainerSettings {
  const { duration, accumulate, evalEvery, saveEvery } = settings;
  const updates = updatesOf(duration, batchesPerEpoch, accumulate);
  const tenth = Math.ceil((updates ?? updatesIn(1, batchesPerEpoch, accumulate)) / DEFAULT_EVALUATIONS);
  // How many updates fit into a time is not known beforehand; a kill must not cost all of it.
  const evaluateEvery = evalEvery ?? (updates === undefined ? Math.min(tenth, UNTIMED_PERIOD) : tenth);
  return {
    length: lengthOf(duration, batchesPerEpoch, withinSeconds),
    learningRate: settings.lr,
    schedule: { kind: settings.schedule, warmup: settings.warmup },
    clip: settings.clip,
    accumulate,
    evaluateEvery,
    saveEvery: saveEvery ?? evaluateEvery,
  };
}

function lengthOf(duration: Duration, batchesPerEpoch: number, withinSeconds: number | undefined): RunLength {
  switch (duration.kind) {
    case "steps":
      return { kind: "steps", steps: duration.steps, withinSeconds };
    case "epochs":
      return { kind: "batches", batches: batchesIn(duration.epochs, batchesPerEpoch), withinSeconds };
    case "minutes":
      return { kind: "seconds", seconds: duration.minutes * 60 };
  }
}
