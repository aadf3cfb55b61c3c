/** What training tells the world, one plain clonable record at a time: progress lines, JSON, files and the studio read these alone. */

/** Scores between 0 and 1 of one ability, measured with the adapter off and on. */
export interface BeforeAfter {
  readonly before: number;
  readonly after: number;
}

/**
 * One event of a training run. `Report` is the trade-off report; the evaluation room, a floor higher, owns its type, and
 * workflows/api.ts names the pair. Order: any `progress` and `warning`, one `start`, then `step`, `evaluation`,
 * `checkpoint` and `warning` as they happen, at most one `report`, and `done` as the last. A run that fails throws instead.
 */
export type TrainEvent<Report = unknown> =
  | ProgressEvent
  | StartEvent
  | StepEvent
  | EvaluationEvent
  | CheckpointEvent
  | WarningEvent
  | ReportEvent<Report>
  | DoneEvent;

/** A stretch of work that is no training step: downloading, preparing weights, reading data, measuring. */
export interface ProgressEvent {
  readonly type: "progress";
  /** What is being done, in words that can stand on a progress line, such as "downloading model.safetensors". */
  readonly task: string;
  readonly done: number;
  /** Absent while the total is unknown. */
  readonly total?: number;
  readonly unit: "bytes" | "items";
}

/** The run is prepared and the first step comes next. */
export interface StartEvent {
  readonly type: "start";
  readonly model: string;
  /** Layers that carry an adapter. */
  readonly layers: number;
  readonly trainableParameters: number;
  readonly totalParameters: number;
  readonly trainExamples: number;
  readonly validationExamples: number;
  /** Updates the run is planned to take at most; 0 for a run bounded by minutes alone. */
  readonly steps: number;
  /** Updates already taken by the run that is being resumed; absent or 0 in a fresh run. */
  readonly resumedAt?: number;
  readonly device: string;
  readonly precision: string;
  /** Sentences a person should know, such as how many examples were held out, cut or dropped. */
  readonly notes: readonly string[];
}

/** One update of the adapter. */
export interface StepEvent {
  readonly type: "step";
  /** The update just taken, counted from 1. */
  readonly step: number;
  readonly steps: number;
  /** Passes over the training data so far, with a fraction. */
  readonly epoch: number;
  /** Mean loss per supervised token (per example or word, of a classification) of this update, nats. */
  readonly loss: number;
  /** Global norm of the gradient before clipping. */
  readonly gradientNorm: number;
  readonly learningRate: number;
  /** Tokens of this update, padding not counted. */
  readonly tokens: number;
  /** What the loss is a mean over: supervised tokens, or labels by their weights. */
  readonly supervisedTokens: number;
  /** Recent mean, padding not counted. */
  readonly tokensPerSecond: number;
  /** Seconds of training so far. */
  readonly seconds: number;
  /** Highest resident memory of the process so far, bytes. */
  readonly peakBytes: number;
  readonly secondsLeft: number;
}

/** The validation examples were scored. */
export interface EvaluationEvent {
  readonly type: "evaluation";
  readonly step: number;
  /** Mean loss per supervised token, nats. */
  readonly loss: number;
  readonly perplexity: number;
  /** What else the task measures, such as accuracy; absent where it is the loss alone. */
  readonly metrics?: Readonly<Record<string, number>>;
  /** Whether this is the lowest validation loss so far, so that this adapter is kept. */
  readonly best: boolean;
}

/** A checkpoint is complete on disk. */
export interface CheckpointEvent {
  readonly type: "checkpoint";
  readonly step: number;
  readonly path: string;
}

/** Something a person should look at; the run goes on. */
export interface WarningEvent {
  readonly type: "warning";
  readonly message: string;
}

/** What the adapter gained and what the model lost elsewhere. */
export interface ReportEvent<Report> {
  readonly type: "report";
  readonly report: Report;
  /** The HTML file that shows the report. */
  readonly path: string;
}

/** The last event. */
export interface DoneEvent {
  readonly type: "done";
  /** Updates taken, those of a resumed run included. */
  readonly steps: number;
  readonly reason: "finished" | "interrupted";
  /** The folder of the adapter that was kept, or of the model, where all weights were trained. */
  readonly adapter: string;
  /** Which of the two it is. */
  readonly kind: "adapter" | "model";
  /** Seconds of training alone, without loading and measuring. */
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly peakBytes: number;
  /** The lowest validation loss, nats per token, and the update it was reached at; absent without an evaluation. */
  readonly bestLoss?: number;
  readonly bestStep?: number;
  /** Scores of the trained task and of the general probe; absent when nothing was measured. */
  readonly target?: BeforeAfter;
  readonly general?: BeforeAfter;
  /** How anchors find their positives, of a task with pairs. */
  readonly ranking?: { readonly before: Ranking; readonly after: Ranking };
}

/** How well held-out anchors find their own positives among all held-out ones, by the cosine; each text is counted once. */
export interface Ranking {
  readonly anchors: number;
  readonly positives: number;
  /** Share of anchors to which no wrong positive is as near as an own one (accuracy@1). */
  readonly accuracy: number;
  /** Mean of 1 / rank of the nearest own positive. */
  readonly meanReciprocalRank: number;
  /** Mean loss of the pairs, with all of them as one batch, nats. */
  readonly loss: number;
}
