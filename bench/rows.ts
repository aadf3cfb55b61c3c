import type { Precision } from "../src/workflows/options.js";
import type { AdapterUse } from "./adapters-task.js";
import type { NamedSide, PeakOf, TrainRow } from "./comparison.js";

/** What a row of any kind says of itself. */
interface Measured {
  readonly work: string;
  readonly date: string;
}

/** Mean loss over the learned tokens of the held-out rows after equal training in fp32 and int8, in nats. */
export interface SeedLoss {
  /** Of the adapter's start and of the order of the rows. */
  readonly seed: number;
  readonly fp32: number;
  readonly int8: number | null;
}

export interface LossRow extends Measured {
  readonly kind: "loss";
  readonly steps: number;
  readonly seeds: readonly SeedLoss[];
  /** Means over the seeds. */
  readonly fp32: number;
  readonly int8: number | null;
  /** int8 over fp32, of the means. */
  readonly ratio: number | null;
}

/** Seconds from the start of the command to its first update. */
export interface StartRow extends Measured {
  readonly kind: "start";
  /** The median of `runs`. */
  readonly seconds: number;
  readonly runs: readonly number[];
}

/** Tokens a second of one model that answers. */
export interface AnswerSpeed {
  readonly name: string;
  /** Of the prompt. */
  readonly prefill: number;
  /** Of the answer, a token at a time. */
  readonly decode: number;
  /** Token ids of the answer. */
  readonly ids: readonly number[];
}

export interface GenerateRow extends Measured {
  readonly kind: "generate";
  readonly rounds: number;
  readonly promptTokens: number;
  readonly newTokens: number;
  /** The one of `all` that decodes faster. */
  readonly ours: AnswerSpeed;
  readonly all: readonly AnswerSpeed[];
  readonly peer: AnswerSpeed | null;
  /** Our speeds over the peer's. */
  readonly ratio: { readonly prefill: number; readonly decode: number } | null;
}

/** A step of a model of random weights. */
export interface MemoryRow extends Measured {
  readonly kind: "memory";
  readonly parameters: number;
  readonly batch: readonly [rows: number, tokens: number];
  readonly peakOf: PeakOf;
  readonly ours: NamedSide;
}

/** Operations a second, a multiplication and an addition being two. */
export interface MachineLimits {
  readonly fp32: number;
  readonly int8: number | null;
}

/** One size of a step. */
export interface CurvePoint {
  /** What is varied. */
  readonly curve: "context" | "rank" | "batch";
  readonly rank: number;
  readonly rows: number;
  readonly tokens: number;
  readonly side: string;
  readonly tokensPerSecond: number;
  readonly peakBytes: number | null;
  /** The step's products, operations a second. */
  readonly speed: number;
  /** That speed over the machine's limits. */
  readonly ofLimits: MachineLimits;
}

export interface CurvesRow extends Measured {
  readonly kind: "curves";
  readonly steps: number;
  readonly limits: MachineLimits;
  readonly points: readonly CurvePoint[];
}

export interface PlannedAndMeasured {
  readonly planned: number;
  readonly measured: number;
}

/** What `plan` says of a run, and what the run takes. */
export interface PlannedRun {
  readonly data: "demo" | "text";
  readonly precision: Precision;
  readonly gradientCheckpointing: boolean;
  /** Bytes of the process at its fullest moment. */
  readonly memory: PlannedAndMeasured;
  /** Tokens a second. */
  readonly speed: PlannedAndMeasured;
}

export interface PlanRow extends Measured {
  readonly kind: "plan";
  readonly steps: number;
  readonly runs: readonly PlannedRun[];
}

/** A batch that is answered, its rows with adapters of their own. */
export interface AdapterPoint {
  readonly precision: "fp32" | "int8";
  readonly rows: number;
  readonly adapters: AdapterUse;
  /** Tokens a second of all prompts. */
  readonly prefill: number;
  /** Of all answers. */
  readonly decode: number;
}

export interface AdaptersRow extends Measured {
  readonly kind: "adapters";
  readonly rounds: number;
  /** Of each row. */
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly points: readonly AdapterPoint[];
}

export type ResultRow = TrainRow | LossRow | StartRow | GenerateRow | AdaptersRow | MemoryRow | CurvesRow | PlanRow;
