export type ScheduleKind = "constant" | "linear" | "cosine";

export interface Schedule {
  readonly kind: ScheduleKind;
  /** Updates in which the rate rises from zero to its peak. */
  readonly warmupSteps: number;
}

/**
 * The factor on the learning rate of an update, by the rules of transformers' schedulers: a linear rise, then constant, a
 * line to zero, or half a cosine to zero.
 *
 * @param step updates already taken, from 0
 * @param totalSteps updates of the whole run
 */
export function scheduleFactor({ kind, warmupSteps }: Schedule, step: number, totalSteps: number): number {
  if (step < warmupSteps) return step / Math.max(1, warmupSteps);
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  switch (kind) {
    case "constant":
      return 1;
    case "linear":
      return 1 - progress;
    case "cosine":
      return 0.5 * (1 + Math.cos(Math.PI * progress));
  }
}
