import type { Batch, BatchStream, Cursor } from "../data/batch.js";
import { RunError } from "../errors.js";
import type { EvaluationEvent, StepEvent } from "./events.js";
import { addTo } from "./kernels/vector.js";
import type { Optimizer, OptimizerState } from "./optimizer.js";
import { type Schedule, scheduleFactor } from "./schedule.js";

/** How long a run is: a number of updates, or as many as fit into a time. A number of updates may have a time limit too. */
export type RunLength =
  | { readonly kind: "steps"; readonly steps: number; readonly withinSeconds?: number | undefined }
  | { readonly kind: "seconds"; readonly seconds: number };

/** Updates that a run bounded by time alone expects before it has measured its own speed. */
const UNMEASURED_STEPS = 1_000;

export interface TrainerSettings {
  readonly length: RunLength;
  readonly learningRate: number;
  readonly schedule: Omit<Schedule, "warmupSteps"> & { /** Share of the run. */ readonly warmup: number };
  /** Largest global norm of the gradient; 0 for no clipping. */
  readonly clip: number;
  /** Batches per update. */
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

/** What a trainer is handed. */
export interface TrainerParts {
  /** The summed loss of a batch, and its gradient into the memory given. `number` counts batches from the start of the run. */
  readonly gradient: (
    batch: Batch,
    number: number,
    trainables: Float32Array,
    gradient: Float32Array,
  ) => Promise<{ loss: number; count: number }>;
  /** Mean validation loss; absent where nothing is held out. It may throw once the run is aborted, and is then made up for on resuming. */
  readonly evaluate?: ((trainables: Float32Array) => Promise<number>) | undefined;
  readonly stream: BatchStream;
  readonly optimizer: Optimizer;
  readonly trainables: Float32Array;
  /** Writes a checkpoint and returns its path. */
  readonly save: (state: TrainerState) => Promise<string>;
  /** Milliseconds of a steady clock. */
  readonly now: () => number;
  readonly peakBytes: () => number;
  /** Lets other work of the thread happen, such as the arrival of an abort. */
  readonly breathe: () => Promise<void>;
  readonly signal?: AbortSignal | undefined;
  readonly resumed?: Pick<TrainerState, "progress" | "best"> | undefined;
}

export type TrainerEvent = StepEvent | EvaluationEvent | { readonly type: "checkpoint"; readonly step: number; readonly path: string };

/** How a run ended. */
export interface TrainerResult {
  readonly reason: "finished" | "interrupted";
  readonly state: TrainerState;
}

/**
 * Trains until the run is over or aborted; either way the last thing done is a checkpoint.
 *
 * @throws RunError when the loss or the gradient is no longer a number; the last checkpoint stays as it was.
 */
export async function* runTrainer(settings: TrainerSettings, parts: TrainerParts): AsyncGenerator<TrainerEvent, TrainerResult> {
  const run = new Run(settings, parts);
  if (!run.aborted && run.due(settings.evaluateEvery)) yield* run.evaluate(); // owed where the abort came during an evaluation
  while (!run.over && !run.aborted) {
    yield await run.update();
    if (run.due(settings.evaluateEvery)) yield* run.evaluate();
    if (run.due(settings.saveEvery)) yield await run.save();
    await parts.breathe();
  }
  const reason = run.aborted ? "interrupted" : "finished";
  if (reason === "finished") yield* run.evaluate();
  if (!run.saved) yield await run.save();
  return { reason, state: run.state };
}

/** Weight of the newest update in the recent mean of the speed. */
const SPEED_WEIGHT = 0.1;

class Run {
  readonly #settings: TrainerSettings;
  readonly #parts: TrainerParts;
  readonly #gradient: Float32Array;
  readonly #window: Float32Array;
  #progress: TrainerProgress;
  #best: Float32Array | undefined;
  #savedProgress: TrainerProgress | undefined;
  #speed: number | undefined;

  constructor(settings: TrainerSettings, parts: TrainerParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#gradient = new Float32Array(parts.trainables.length);
    this.#window = settings.accumulate > 1 ? new Float32Array(parts.trainables.length) : this.#gradient;
    this.#progress = parts.resumed?.progress ?? { step: 0, batches: 0, seconds: 0, tokens: 0, evaluatedStep: 0 };
    this.#best = parts.resumed?.best;
  }

  get over(): boolean {
    const { length } = this.#settings;
    return (length.kind === "steps" && this.#progress.step >= length.steps) || this.#progress.seconds >= timeLimit(length);
  }

  get aborted(): boolean {
    return this.#parts.signal?.aborted ?? false;
  }

  get state(): TrainerState {
    const { trainables, optimizer, stream } = this.#parts;
    return { progress: this.#progress, trainables, best: this.#best, optimizer: optimizer.state, cursor: stream.cursor() };
  }

  /** Whether the last checkpoint holds all that there is. */
  get saved(): boolean {
    return this.#savedProgress === this.#progress;
  }

  due(every: number): boolean {
    return every > 0 && this.#progress.step % every === 0;
  }

  /** One update: the gradient of an accumulation window, divided by the window's own count, clipped, applied. */
  async update(): Promise<StepEvent> {
    const { now, optimizer, trainables } = this.#parts;
    const started = now();
    const window = await this.#accumulate();
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
      batches: this.#progress.batches + this.#settings.accumulate,
      seconds: this.#progress.seconds + seconds,
      tokens: this.#progress.tokens + window.tokens,
    };
    return this.#event({ loss, gradientNorm, learningRate, tokens: window.tokens, supervisedTokens: count });
  }

  /** Scores the validation examples unless these trainables were scored before, and keeps them if they are the best so far. */
  async *evaluate(): AsyncGenerator<EvaluationEvent> {
    const { evaluate, trainables } = this.#parts;
    const { step, evaluatedStep } = this.#progress;
    if (evaluate === undefined || evaluatedStep === step) return;
    let loss: number;
    try {
      loss = await evaluate(trainables);
    } catch (error) {
      if (this.aborted) return;
      throw error;
    }
    this.#progress = { ...this.#progress, evaluatedStep: step };
    const best = loss < (this.#progress.bestLoss ?? Number.POSITIVE_INFINITY);
    if (best) {
      this.#best = trainables.slice();
      this.#progress = { ...this.#progress, bestLoss: loss, bestStep: step };
    }
    yield { type: "evaluation", step, loss, perplexity: Math.exp(loss), best };
  }

  async save(): Promise<{ type: "checkpoint"; step: number; path: string }> {
    const path = await this.#parts.save(this.state);
    this.#savedProgress = this.#progress;
    return { type: "checkpoint", step: this.#progress.step, path };
  }

  async #accumulate(): Promise<{ loss: number; count: number; tokens: number }> {
    const { gradient, stream, trainables } = this.#parts;
    const sum = { loss: 0, count: 0, tokens: 0 };
    if (this.#window !== this.#gradient) this.#window.fill(0);
    for (let index = 0; index < this.#settings.accumulate; index++) {
      const batch = stream.next();
      const number = this.#progress.batches + index;
      const part = await gradient(batch, number, trainables, this.#gradient);
      if (!Number.isFinite(part.loss)) throw this.#failure(`the loss is ${part.loss}`, number + 1);
      if (this.#window !== this.#gradient) addTo(this.#window, this.#gradient);
      sum.loss += part.loss;
      sum.count += part.count;
      sum.tokens += realTokens(batch);
    }
    return sum;
  }

  #factor(): number {
    const { kind, warmup } = this.#settings.schedule;
    const total = this.#totalSteps();
    return scheduleFactor({ kind, warmupSteps: Math.round(warmup * total) }, this.#progress.step, total);
  }

  /** Updates of the whole run; for a run bounded by time an estimate from the speed so far. */
  #totalSteps(): number {
    const { length } = this.#settings;
    const { step, seconds } = this.#progress;
    const most = length.kind === "steps" ? length.steps : Number.POSITIVE_INFINITY;
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

function timeLimit(length: RunLength): number {
  return (length.kind === "seconds" ? length.seconds : length.withinSeconds) ?? Number.POSITIVE_INFINITY;
}

/** Passes over the data so far, with a fraction. */
function epochsOf(stream: BatchStream): number {
  const { epoch, position } = stream.cursor();
  return epoch + position / stream.batchesPerEpoch;
}

function realTokens({ segments }: Batch): number {
  let count = 0;
  for (const segment of segments) if (segment > 0) count++;
  return count;
}
