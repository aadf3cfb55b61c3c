import type { Duration } from "../../options.js";

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
