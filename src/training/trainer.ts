import type { Batch, BatchStream, Cursor } from "../data/batch.js";
import { RunError } from "../errors.js";
import type { CheckpointEvent, EvaluationEvent, StepEvent } from "./events.js";
import { addTo } from "./kernels/vector.js";
import type { Optimizer, OptimizerState } from "./optimizer.js";
import { type Schedule, scheduleFactor } from "./schedule.js";

/**
 * How long a run is: a number of updates, or of batches (epochs end where they end: the last update then has fewer batches
 * than the others), or as many as fit into a time. The first two may have a time limit too.
 */
export type RunLength =
  | { readonly kind: "steps"; readonly steps: number; readonly withinSeconds?: number | undefined }
  | { readonly kind: "batches"; readonly batches: number; readonly withinSeconds?: number | undefined }
  | { readonly kind: "seconds"; readonly seconds: number };

/** Updates that a run bounded by time alone expects before it has measured its own speed. */
const UNMEASURED_STEPS = 1_000;

export interface TrainerSettings {
  readonly length: RunLength;
  readonly learningRate: number;
  readonly schedule: Omit<Schedule, "warmupSteps"> & { /** Share of the run. */ readonly warmup: number };
  /** Largest global norm of the gradient; 0 for no clipping. */
  readonly clip: number;
  /** Batches per update; the last update has fewer where the run or its time ends. */
  readonly accumulate: number;
  /** Updates between evaluations and between checkpoints; 0 for none but at the end. */
  readonly evaluateEvery: number;
  readonly saveEvery: number;
}

/** Numbers of a run so far; with the vectors and the data cursor, all that a resumed run needs. */
export interface TrainerProgress {
  /** Updates taken. */
  readonly step: number;
  /** Batches taken, several to an update when they are accumulated. */
  readonly batches: number;
  /** Seconds of training. */
  readonly seconds: number;
  /** Tokens trained on, padding left out. */
  readonly tokens: number;
  /** The update after which the validation examples were last scored, 0 before the first time. */
  readonly evaluatedStep: number;
  readonly bestLoss?: number | undefined;
  readonly bestStep?: number | undefined;
}

/** Everything that a checkpoint holds. */
export interface TrainerState {
  readonly progress: TrainerProgress;
  readonly trainables: Float32Array;
  /** The trainables with the lowest validation loss; absent before the first evaluation. */
  readonly best?: Float32Array | undefined;
  readonly optimizer: OptimizerState;
  /** Where the stream of batches stands. */
  readonly cursor: Cursor;
}

/** What validation examples say: the mean loss, and other measures by name. */
export interface Evaluation {
  readonly loss: number;
  readonly metrics?: Readonly<Record<string, number>>;
}

/** What a trainer is handed. */
export interface TrainerParts {
  /** The summed loss of a batch, and its gradient into the memory given. `number` counts batches from the start of the run. */
  readonly gradient: (
    batch: Batch,
    number: number,
    trainables: Float32Array,
    gradient: Float32Array,
  ) => Promise<{ loss: number; count: number }>;
  /** Mean validation loss, alone or with other measures; absent where nothing is held out. It may throw once the run is aborted, and is then made up for on resuming. */
  readonly evaluate?: ((trainables: Float32Array) => Promise<number | Evaluation>) | undefined;
  /** The update from which on trainables may be kept as the best; by default each may. */
  readonly bestFrom?: number | undefined;
  readonly stream: BatchStream;
  readonly optimizer: Optimizer;
  readonly trainables: Float32Array;
  /** Writes a checkpoint and returns its path. */
  readonly save: (state: TrainerState) => Promise<string>;
  /** Milliseconds of a steady clock. */
  readonly now: () => number;
  readonly peakBytes: () => number;
  /** Lets other work of the thread happen, such as the arrival of an abort; called between any two batches. */
  readonly breathe: () => Promise<void>;
  readonly signal?: AbortSignal | undefined;
  readonly resumed?: Pick<TrainerState, "progress" | "best"> | undefined;
}

export type TrainerEvent = StepEvent | EvaluationEvent | CheckpointEvent;

/** How a run ended. */
export interface TrainerResult {
  readonly reason: "finished" | "interrupted";
  readonly state: TrainerState;
}

/**
 * Trains until the run is over or aborted; either way the last thing done is a checkpoint. An abort throws away the batches of an
 * update that is not whole: the checkpoint stands where that update began.
 *
 * @throws RunError when the loss or the gradient is no longer a number; the last checkpoint stays as it was.
 */
export async function* runTrainer(settings: TrainerSettings, parts: TrainerParts): AsyncGenerator<TrainerEvent, TrainerResult> {
  const run = new Run(settings, parts);
  if (!run.aborted && run.due(settings.evaluateEvery)) yield* run.evaluate(); // owed where the abort came during an evaluation
  while (!run.over && !run.aborted) {
    const update = await run.update();
    if (update === undefined) break;
    yield update;
    if (run.due(settings.evaluateEvery)) yield* run.evaluate();
    if (run.due(settings.saveEvery)) yield await run.save();
    await parts.breathe();
  }
  if (!run.aborted) yield* run.evaluate();
  const reason = run.aborted ? "interrupted" : "finished"; // asked after the evaluation, which an abort may have cut off
  if (!run.saved) yield await run.save();
  return { reason, state: run.state };
}

/** What the batches of an update add up to. */
interface Window {
  readonly batches: number;
  /** Sum over learned places, nats. */
  readonly loss: number;
  /** What the places count for: the sums' divisor. */
  readonly count: number;
  readonly tokens: number;
}

/** Weight of the newest update in the recent mean of the speed. */
const SPEED_WEIGHT = 0.1;

class Run {
  readonly #settings: TrainerSettings;
  readonly #parts: TrainerParts;
  readonly #gradient: Float32Array;
  readonly #window: Float32Array;
  #progress: TrainerProgress;
  /** Where the stream stood after the last whole update. */
  #cursor: Cursor;
  #best: Float32Array | undefined;
  #savedProgress: TrainerProgress | undefined;
  #speed: number | undefined;

  constructor(settings: TrainerSettings, parts: TrainerParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#gradient = new Float32Array(parts.trainables.length);
    this.#window = settings.accumulate > 1 ? new Float32Array(parts.trainables.length) : this.#gradient;
    this.#progress = parts.resumed?.progress ?? { step: 0, batches: 0, seconds: 0, tokens: 0, evaluatedStep: 0 };
    this.#cursor = parts.stream.cursor();
    this.#best = parts.resumed?.best;
  }

  get over(): boolean {
    const { length, accumulate } = this.#settings;
    const { step, seconds } = this.#progress;
    return step >= mostSteps(length, accumulate) || seconds >= timeLimit(length);
  }

  get aborted(): boolean {
    return this.#parts.signal?.aborted ?? false;
  }

  get state(): TrainerState {
    const { trainables, optimizer } = this.#parts;
    return { progress: this.#progress, trainables, best: this.#best, optimizer: optimizer.state, cursor: this.#cursor };
  }

  /** Whether the last checkpoint holds all that there is. */
  get saved(): boolean {
    return this.#savedProgress === this.#progress;
  }

  due(every: number): boolean {
    return every > 0 && this.#progress.step % every === 0;
  }

  /**
   * One update: the gradient of an accumulation window, divided by the window's own count, clipped, applied.
   *
   * @returns nothing where the run was aborted inside the window; nothing has been changed then.
   */
  async update(): Promise<StepEvent | undefined> {
    const { now, optimizer, stream, trainables } = this.#parts;
    const started = now();
    const window = await this.#accumulate(started);
    if (window === undefined) return undefined;
    const { count } = window;
    const loss = window.loss / count;
    const step = this.#progress.step + 1;
    const learningRate = this.#settings.learningRate * this.#factor();
    const gradientNorm = await optimizer.update(trainables, this.#window, { count, clip: this.#settings.clip, learningRate, step });
    if (!Number.isFinite(gradientNorm)) throw this.#failure(`the gradient is ${gradientNorm}`, this.#progress.batches + 1);

    const seconds = (now() - started) / 1000;
    const speed = window.tokens / seconds;
    this.#speed = this.#speed === undefined ? speed : this.#speed + SPEED_WEIGHT * (speed - this.#speed);
    this.#progress = {
      ...this.#progress,
      step,
      batches: this.#progress.batches + window.batches,
      seconds: this.#progress.seconds + seconds,
      tokens: this.#progress.tokens + window.tokens,
    };
    this.#cursor = stream.cursor();
    return this.#event({ loss, gradientNorm, learningRate, tokens: window.tokens, supervisedTokens: count });
  }

  /** Scores the validation examples unless these trainables were scored before, and keeps them if they are the best so far. */
  async *evaluate(): AsyncGenerator<EvaluationEvent> {
    const { evaluate, trainables } = this.#parts;
    const { step, evaluatedStep } = this.#progress;
    if (evaluate === undefined || evaluatedStep === step) return;
    let evaluation: number | Evaluation;
    try {
      evaluation = await evaluate(trainables);
    } catch (error) {
      if (this.aborted) return;
      throw error;
    }
    const { loss, metrics } = typeof evaluation === "number" ? { loss: evaluation, metrics: undefined } : evaluation;
    this.#progress = { ...this.#progress, evaluatedStep: step };
    const best = step >= (this.#parts.bestFrom ?? 0) && loss < (this.#progress.bestLoss ?? Number.POSITIVE_INFINITY);
    if (best) {
      this.#best ??= new Float32Array(trainables.length); // one vector for all: it may be as large as the model
      this.#best.set(trainables);
      this.#progress = { ...this.#progress, bestLoss: loss, bestStep: step };
    }
    yield { type: "evaluation", step, loss, perplexity: Math.exp(loss), ...(metrics === undefined ? {} : { metrics }), best };
  }

  async save(): Promise<CheckpointEvent> {
    const path = await this.#parts.save(this.state);
    this.#savedProgress = this.#progress;
    return { type: "checkpoint", step: this.#progress.step, path };
  }

  /** @returns nothing where the run was aborted between two batches. */
  async #accumulate(started: number): Promise<Window | undefined> {
    const { breathe, gradient, stream, trainables } = this.#parts;
    const sum = { batches: 0, loss: 0, count: 0, tokens: 0 };
    if (this.#window !== this.#gradient) this.#window.fill(0);
    const most = this.#batchesLeft();
    do {
      const batch = stream.next();
      const number = this.#progress.batches + sum.batches;
      const part = await gradient(batch, number, trainables, this.#gradient);
      if (!Number.isFinite(part.loss)) throw this.#failure(`the loss is ${part.loss}`, number + 1);
      if (this.#window !== this.#gradient) addTo(this.#window, this.#gradient);
      sum.batches++;
      sum.loss += part.loss;
      sum.count += part.count;
      sum.tokens += batch.exampleTokens;
      if (sum.batches === most) break;
      await breathe();
      if (this.aborted) return undefined;
    } while (!this.#timeIsUp(started));
    return sum;
  }

  /** Batches of the next update, if its time suffices. */
  #batchesLeft(): number {
    const { length, accumulate } = this.#settings;
    return length.kind === "batches" ? Math.min(accumulate, length.batches - this.#progress.batches) : accumulate;
  }

  /** Whether the run's time ends inside an update: its window is then short. */
  #timeIsUp(started: number): boolean {
    const limit = timeLimit(this.#settings.length);
    return limit !== Number.POSITIVE_INFINITY && this.#progress.seconds + (this.#parts.now() - started) / 1000 >= limit;
  }

  #factor(): number {
    const { kind, warmup } = this.#settings.schedule;
    const total = this.#totalSteps();
    return scheduleFactor({ kind, warmupSteps: Math.round(warmup * total) }, this.#progress.step, total);
  }

  /** Updates of the whole run; for a run bounded by time an estimate from the speed so far. */
  #totalSteps(): number {
    const { length, accumulate } = this.#settings;
    const { step, seconds } = this.#progress;
    const most = mostSteps(length, accumulate);
    if (timeLimit(length) === Number.POSITIVE_INFINITY) return most;
    const expected = step === 0 ? UNMEASURED_STEPS : Math.max(step + 1, Math.round((step * timeLimit(length)) / seconds));
    return Math.min(most, expected);
  }

  /** @param batch the (first) batch of the update that went wrong, counted from 1 over the whole run */
  #failure(what: string, batch: number): RunError {
    return new RunError(
      `Update ${this.#progress.step + 1} (batch ${batch}): ${what}. The run stops here; the last checkpoint and the adapter saved with it, if there are any, are as they were. ` +
        "Try a smaller --lr, a longer --warmup, or --clip 1.",
    );
  }

  #event(numbers: Pick<StepEvent, "loss" | "gradientNorm" | "learningRate" | "tokens" | "supervisedTokens">): StepEvent {
    const { step, seconds } = this.#progress;
    const steps = this.#totalSteps();
    const secondsLeft = Math.max(0, Math.min(((steps - step) * seconds) / step, timeLimit(this.#settings.length) - seconds));
    return {
      type: "step",
      step,
      steps,
      epoch: epochsOf(this.#parts.stream),
      ...numbers,
      tokensPerSecond: this.#speed ?? 0,
      seconds,
      peakBytes: this.#parts.peakBytes(),
      secondsLeft,
    };
  }
}

/** Updates of a run without regard to its time. */
function mostSteps(length: RunLength, accumulate: number): number {
  switch (length.kind) {
    case "steps":
      return length.steps;
    case "batches":
      return Math.ceil(length.batches / accumulate);
    case "seconds":
      return Number.POSITIVE_INFINITY;
  }
}

function timeLimit(length: RunLength): number {
  return (length.kind === "seconds" ? length.seconds : length.withinSeconds) ?? Number.POSITIVE_INFINITY;
}

/** Passes over the data so far, with a fraction. */
function epochsOf(stream: BatchStream): number {
  const { epoch, position } = stream.cursor();
  return epoch + position / stream.batchesPerEpoch;
}
