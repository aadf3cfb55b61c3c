/** One update as a side reports it: the mean loss before it, and the seconds that it took, from the batch to the changed adapter. */
export interface StepMeasure {
  readonly loss: number;
  readonly seconds: number;
}

/** What a memory figure covers: training alone, or (where the peak cannot be reset) the whole process with its loading. */
export type PeakOf = "training" | "process";

/** One run of one side. */
export interface RunMeasure {
  readonly steps: readonly StepMeasure[];
  /** Highest resident memory; null where the system does not tell. */
  readonly peakBytes: number | null;
  readonly peakOf: PeakOf;
}

/** One side of a work: medians over its rounds. */
export interface Side {
  readonly tokensPerSecond: number;
  readonly peakBytes: number | null;
  /** Mean loss of the last step's batch, in nats per learned token. */
  readonly loss: number;
  /** Of every step, in the first round. */
  readonly losses: readonly number[];
}

export interface NamedSide extends Side {
  readonly name: string;
}

/** A work's result. Without a peer on this machine `peer`, `ratio` and `lossDifference` are null. */
export interface ResultRow {
  readonly work: string;
  readonly ours: Side;
  /** The faster of `peers`. */
  readonly peer: NamedSide | null;
  /** Our speed over the peer's. */
  readonly ratio: number | null;
  readonly peers: readonly NamedSide[];
  /** Peers that were given up: so much slower than the exact one that they cannot be the peer. */
  readonly givenUp: readonly string[];
  /** Largest relative difference of a step's loss between ours and the exact peer, over all rounds. */
  readonly lossDifference: number | null;
}

/** Runs of one side, a round each. */
export interface PeerRuns {
  readonly name: string;
  /** Computes in fp32: its losses must be ours. */
  readonly exact: boolean;
  readonly runs: readonly RunMeasure[];
  readonly isGivenUp: boolean;
}

/**
 * Seconds that the other peers get when the exact one took this long. Where a processor has no instructions for bf16, a step in it can
 * take twenty times as long as in fp32; waiting for the end would tell nothing.
 */
export function patienceAfter(exactSeconds: number): number {
  return Math.max(60, 3 * exactSeconds);
}

/** Losses further apart than this (relative) mean that the sides did not do the same work. */
export const LOSS_TOLERANCE = 1e-3;

/** Steps at the start of a run that do not count for the speed; one counts at least. */
export function warmSteps(steps: number): number {
  return Math.max(0, Math.min(3, steps - 1));
}

/** The middle value; the mean of the two middle ones of an even number. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("the median of nothing");
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN;
  return (lower + upper) / 2;
}

/** Elements of the counted steps' batches over their seconds. `elements` holds those of each batch of the file, which is read around. */
export function tokensPerSecond(steps: readonly StepMeasure[], elements: readonly number[]): number {
  const warm = warmSteps(steps.length);
  let tokens = 0;
  let seconds = 0;
  for (const [index, step] of steps.entries()) {
    if (index < warm) continue;
    tokens += elements[index % elements.length] ?? 0;
    seconds += step.seconds;
  }
  return tokens / seconds;
}

/** The largest |a − b| / |b| of two runs' losses, step by step. A loss that is no number, or a missing step, counts as infinitely far. */
export function largestDifference(ours: readonly number[], theirs: readonly number[]): number {
  if (ours.length !== theirs.length) return Number.POSITIVE_INFINITY;
  return ours.reduce((largest, loss, index) => {
    const other = theirs[index] ?? Number.NaN;
    const difference = Math.abs(loss - other) / Math.max(Math.abs(other), Number.MIN_VALUE);
    return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(largest, difference);
  }, 0);
}

/** Medians of a side's rounds. */
export function summarise(runs: readonly RunMeasure[], elements: readonly number[]): Side {
  const peaks = runs.flatMap(({ peakBytes }) => (peakBytes === null ? [] : [peakBytes]));
  const losses = lossesOf(runs[0]);
  return {
    tokensPerSecond: median(runs.map(({ steps }) => tokensPerSecond(steps, elements))),
    peakBytes: peaks.length === 0 ? null : median(peaks),
    loss: losses.at(-1) ?? Number.NaN,
    losses,
  };
}

/** A work's row from its runs. */
export function compare(work: string, elements: readonly number[], ours: readonly RunMeasure[], peers: readonly PeerRuns[]): ResultRow {
  const side = summarise(ours, elements);
  const measured = peers.filter(({ isGivenUp }) => !isGivenUp);
  const others = measured.map(({ name, runs }): NamedSide => ({ name, ...summarise(runs, elements) }));
  const peer = others.reduce<NamedSide | null>(
    (best, one) => (best === null || one.tokensPerSecond > best.tokensPerSecond ? one : best),
    null,
  );
  const differences = measured
    .filter(({ exact }) => exact)
    .flatMap(({ runs }) => runs.map((run, round) => largestDifference(lossesOf(ours[round]), lossesOf(run))));
  return {
    work,
    ours: side,
    peer,
    ratio: peer === null ? null : side.tokensPerSecond / peer.tokensPerSecond,
    peers: others,
    givenUp: peers.filter(({ isGivenUp }) => isGivenUp).map(({ name }) => name),
    lossDifference: differences.length === 0 ? null : Math.max(...differences),
  };
}

function lossesOf(run: RunMeasure | undefined): number[] {
  return run?.steps.map(({ loss }) => loss) ?? [];
}

/** Works whose losses do not agree with the exact peer's. */
export function disagreeing(rows: readonly ResultRow[]): ResultRow[] {
  return rows.filter(({ lossDifference }) => lossDifference !== null && !(lossDifference <= LOSS_TOLERANCE));
}
