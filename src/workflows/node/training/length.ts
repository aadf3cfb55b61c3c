import type { Duration } from "../../options.js";

/** Updates in so many epochs: the last one of a run may be of a started window. */
export function updatesIn(epochs: number, batchesPerEpoch: number, accumulate: number): number {
  return Math.max(1, Math.ceil((epochs * batchesPerEpoch) / accumulate));
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
