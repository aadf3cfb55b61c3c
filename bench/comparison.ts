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

/** A training work's result. Without a peer on this machine `peer`, `ratio` and `lossDifference` are null. */
export interface TrainRow {
  readonly kind: "train";
  readonly work: string;
  readonly date: string;
  readonly steps: number;
  readonly rounds: number;
  readonly peakOf: PeakOf;
  /** The faster of `all`. */
  readonly ours: NamedSide;
  /** Ours in each precision. */
  readonly all: readonly NamedSide[];
  /** The faster of `peers`. */
  readonly peer: NamedSide | null;
  /** The speed of `ours` over the peer's. */
  readonly ratio: number | null;
  readonly peers: readonly NamedSide[];
  /** Peers that were given up: so much slower than the exact one that they cannot be the peer. */
  readonly givenUp: readonly string[];
  /** Largest relative difference of a step's loss between ours in fp32 and the exact peer, over all rounds. */
  readonly lossDifference: number | null;
  /** The same of ours in int8, which rounds; null where it is not measured. */
  readonly roundedLossDifference: number | null;
}

/** Runs of one side, a round each. */
export interface SideRuns {
  readonly name: string;
  /** Computes in fp32: the losses of the exact sides must agree. */
  readonly exact: boolean;
  readonly runs: readonly RunMeasure[];
}

export interface PeerRuns extends SideRuns {
  readonly isGivenUp: boolean;
}

/** How a work was measured. */
export type Measuring = Pick<TrainRow, "date" | "steps" | "rounds">;

/**
 * Seconds that the other peers get when the exact one took this long. Where a processor has no instructions for bf16, a step in it can
 * take twenty times as long as in fp32; waiting for the end would tell nothing.
 */
export function patienceAfter(exactSeconds: number): number {
  return Math.max(60, 3 * exactSeconds);
}

/** Losses of exact sides further apart than this (relative) mean that the sides did not do the same work. */
export const LOSS_TOLERANCE = 1e-3;
/**
 * The same for ours in int8 against the exact peer: rounding moves a loss, the more the fewer tokens it is the mean of, but not as far as
 * another batch or a lost update would.
 */
export const ROUNDED_LOSS_TOLERANCE = 5e-2;

/** Steps at the start of a run that do not count for the speed: three, or half of a short run. */
export function warmSteps(steps: number): number {
  return Math.min(3, Math.floor(steps / 2));
}

/** The middle value; the mean of the two middle ones of an even number. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("the median of nothing");
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN;
  return (lower + upper) / 2;
}

/** Tokens of the counted steps' batches over their seconds. `batchTokens` holds those of each batch of the file, which is read around. */
export function tokensPerSecond(steps: readonly StepMeasure[], batchTokens: readonly number[]): number {
  const warm = warmSteps(steps.length);
  let tokens = 0;
  let seconds = 0;
  for (const [index, step] of steps.entries()) {
    if (index < warm) continue;
    tokens += batchTokens[index % batchTokens.length] ?? 0;
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
export function summarise(runs: readonly RunMeasure[], batchTokens: readonly number[]): Side {
  const peaks = runs.flatMap(({ peakBytes }) => (peakBytes === null ? [] : [peakBytes]));
  const losses = lossesOf(runs[0]);
  return {
    tokensPerSecond: median(runs.map(({ steps }) => tokensPerSecond(steps, batchTokens))),
    peakBytes: peaks.length === 0 ? null : median(peaks),
    loss: losses.at(-1) ?? Number.NaN,
    losses,
  };
}

/** A work's row from its runs. */
export function compare(
  work: string,
  batchTokens: readonly number[],
  ours: readonly SideRuns[],
  peers: readonly PeerRuns[],
  measuring: Measuring,
): TrainRow {
  const named = ({ name, runs }: SideRuns): NamedSide => ({ name, ...summarise(runs, batchTokens) });
  const all = ours.map(named);
  const best = fastest(all);
  if (best === undefined) throw new RangeError(`${work} was not measured`);
  const measured = peers.filter(({ isGivenUp }) => !isGivenUp);
  const others = measured.map(named);
  const peer = fastest(others) ?? null;
  const reference = measured.find(({ exact }) => exact);
  const peaks = [...ours, ...peers].flatMap(({ runs }) => runs.map(({ peakOf }) => peakOf));
  return {
    kind: "train",
    work,
    ...measuring,
    peakOf: peaks.every((of) => of === "training") ? "training" : "process",
    ours: best,
    all,
    peer,
    ratio: peer === null ? null : best.tokensPerSecond / peer.tokensPerSecond,
    peers: others,
    givenUp: peers.filter(({ isGivenUp }) => isGivenUp).map(({ name }) => name),
    lossDifference: differenceFrom(
      reference,
      ours.find(({ exact }) => exact),
    ),
    roundedLossDifference: differenceFrom(
      reference,
      ours.find(({ exact }) => !exact),
    ),
  };
}

function fastest(sides: readonly NamedSide[]): NamedSide | undefined {
  return [...sides].sort((a, b) => b.tokensPerSecond - a.tokensPerSecond)[0];
}

/** The largest difference in any round; null where one of the two was not measured. */
function differenceFrom(reference: SideRuns | undefined, side: SideRuns | undefined): number | null {
  if (reference === undefined || side === undefined) return null;
  return Math.max(...reference.runs.map((run, round) => largestDifference(lossesOf(side.runs[round]), lossesOf(run))));
}

function lossesOf(run: RunMeasure | undefined): number[] {
  return run?.steps.map(({ loss }) => loss) ?? [];
}

/** What is wrong with a row's losses, in words; nothing where they agree. */
export function disagreements({ work, lossDifference, roundedLossDifference }: TrainRow): string[] {
  const judged = [
    { name: "fp32", difference: lossDifference, tolerance: LOSS_TOLERANCE },
    { name: "int8", difference: roundedLossDifference, tolerance: ROUNDED_LOSS_TOLERANCE },
  ];
  return judged.flatMap(({ name, difference, tolerance }) =>
    difference === null || difference <= tolerance
      ? []
      : [`${work}: losses of ours in ${name} and of PEFT in fp32 differ by ${difference.toExponential(1)}, more than ${tolerance}.`],
  );
}
