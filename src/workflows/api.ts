import type { DataReport, LengthStatistics, MaskedText } from "../data/report.js";
import type { LabelReport } from "../evaluation/labels/label-report.js";
import type { Change, Sample, TradeOffReport } from "../evaluation/trade-off.js";
import type { MergeRounding } from "../lora/merge-rounding.js";
import type { Message } from "../text/tokenizer.js";
import type * as training from "../training/events.js";
import type {
  CombineResult,
  ConvertResult,
  EjectResult,
  ExportResult,
  ExtractResult,
  ImportResult,
  InspectResult,
  MergeResult,
  RankResult,
  ResizeResult,
  UnmergeResult,
} from "./adapter-results.js";
import type { LoadOptions } from "./options/load-model.js";
import type {
  BatchSettings,
  ClassifyOptions,
  CombineOptions,
  ConvertOptions,
  DataOptions,
  DemoOptions,
  EjectOptions,
  EmbedOptions,
  EvaluateOptions,
  ExportOptions,
  ExtractOptions,
  ImportOptions,
  InspectOptions,
  MergeOptions,
  PlanOptions,
  PushOptions,
  RankOptions,
  ResizeOptions,
  SamplingOptions,
  TrainOptions,
  UnmergeOptions,
} from "./options.js";

// What the workflows take and give: plain clonable records, because workflows run in a worker. The command line and the
// library see these types alone.

export type * from "./adapter-results.js";
export type {
  ChatOptions,
  ClassifyOptions,
  CombineOptions,
  ConvertOptions,
  DataOptions,
  DemoOptions,
  EjectOptions,
  EmbedOptions,
  EvaluateOptions,
  ExportOptions,
  ExtractOptions,
  GenerateOptions,
  ImportOptions,
  InspectOptions,
  MergeOptions,
  PlanOptions,
  PushOptions,
  RankOptions,
  ResizeOptions,
  SamplingOptions,
  TrainOptions,
  UnmergeOptions,
} from "./options.js";
export type { Change, DataReport, LabelReport, LengthStatistics, MaskedText, MergeRounding, Message, Sample, TradeOffReport };

export type TrainEvent = training.TrainEvent<TradeOffReport | LabelReport>;
export type DoneEvent = training.DoneEvent;
/** How far a long piece of work has come. */
export type Progress = Omit<training.ProgressEvent, "type">;

/** What steers a running workflow from outside. */
export interface Controls {
  /** Aborting makes the workflow stop at the next safe moment and throw `signal.reason`; `train` and `demo` save and end with `done` instead. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** A language model that lives in its own worker until it is disposed. */
export interface LanguageModel {
  /** The name it was loaded under. */
  readonly name: string;
  /** The `model_type` of its configuration, such as "llama". */
  readonly architecture: string;
  readonly parameters: number;
  /** Most tokens of prompt and answer together. */
  readonly contextLength: number;
  /** Adapters loaded with it, in the order given. */
  readonly adapters: readonly LoadedAdapter[];
  /** What a person should know, such as that the model came from its second source. */
  readonly notes: readonly string[];
  /** Ends the worker and frees its memory; the model cannot be used afterwards. */
  dispose(): Promise<void>;
}

/** An adapter that was checked against its model and is ready to be switched on. */
export interface LoadedAdapter {
  /** The end of its folder's path, without the `adapter` of a run's folder: as short as tells the model's adapters apart. */
  readonly name: string;
  /** The absolute path of its folder. */
  readonly directory: string;
  readonly rank: number;
  readonly layers: number;
  readonly parameters: number;
}

export interface LoadModelOptions extends Omit<LoadOptions, "adapters">, Controls {
  readonly adapters?: readonly string[];
}

/** What to answer: a prompt or a conversation, how to choose tokens, and which adapter is on. */
export interface GenerateRequest extends SamplingOptions {
  readonly prompt?: string;
  readonly messages?: readonly Message[];
  /** Tools in the form that chat templates take. */
  readonly tools?: readonly unknown[];
  /** A loaded adapter, or its name. Absent: the first that the model was loaded with, if any. Null: the model as it is. */
  readonly adapter?: LoadedAdapter | string | null;
  readonly signal?: AbortSignal;
}

/** One of several requests that are answered together. */
export type BatchRequest = Omit<GenerateRequest, "signal">;

/** How requests are answered together. */
export interface BatchOptions extends Partial<BatchSettings> {
  readonly signal?: AbortSignal;
}

/** More of the answer to one of several requests. */
export interface BatchPiece {
  /** Which of the requests, from 0. */
  readonly row: number;
  readonly text: string;
  /** In the last piece of a row: whether the model or a stop text ended the answer, or the longest answer was reached. */
  readonly ended?: "stop" | "length";
}

/** One measure of a model, and of the same with an adapter on the same examples. */
export interface Comparison {
  readonly metric: string;
  /** Measured on the file (`target`) or on the questions and texts that come with the package (`general`). */
  readonly side: "target" | "general";
  /** `score`: a measure of its own, such as a mean reciprocal rank. */
  readonly unit: "share" | "perplexity" | "nats" | "score";
  /** Examples measured. */
  readonly n: number;
  readonly base: number;
  readonly adapted?: number;
  /** From base to adapted, paired by example; absent without an adapter, and for losses and scores. */
  readonly change?: Change;
}

export interface EvaluationResult {
  readonly model: string;
  readonly adapter?: string;
  readonly data: string;
  readonly comparisons: readonly Comparison[];
  /** Of a head for labels: accuracy, macroF1 and matthews, or pearson, spearman and rootMeanSquare. */
  readonly metrics?: Readonly<Record<string, number>>;
  /** The labels that a head tells, and how often each (row) was taken for each (column). */
  readonly labels?: readonly string[];
  readonly confusion?: readonly (readonly number[])[];
  readonly samples: readonly (Omit<Sample, "after"> & { readonly after?: string })[];
  /** What a person should know: examples that were cut or left out, or another source of the model. */
  readonly notes: readonly string[];
  /** What the numbers say, in one sentence. */
  readonly sentence: string;
  readonly seconds: number;
}

/** A text, or a pair of texts that belong together. */
export type TextToLabel = string | readonly [text: string, textPair: string];

/** What a head says of a row; `expected` where the row has its label. */
export type Classified =
  | {
      readonly kind: "label";
      /** Where the row stands in its file, or among the texts, from 1. */
      readonly line: number;
      readonly text: string;
      readonly textPair?: string;
      readonly label: string;
      readonly probability: number;
      /** Of every label, in the order of `ClassifyResult.labels`. */
      readonly probabilities: readonly number[];
      readonly expected?: string;
    }
  | {
      readonly kind: "value";
      readonly line: number;
      readonly text: string;
      readonly textPair?: string;
      readonly value: number;
      readonly expected?: number;
    }
  | {
      readonly kind: "words";
      readonly line: number;
      readonly words: readonly {
        readonly word: string;
        readonly label: string;
        readonly probability: number;
        readonly expected?: string;
      }[];
    };

export interface ClassifyResult {
  readonly model: string;
  readonly adapter: string;
  readonly task: "classification" | "token-classification" | "regression";
  /** In the order of the head's outputs; none for a regression. */
  readonly labels: readonly string[];
  readonly rows: readonly Classified[];
  /** How the predictions compare with the rows' own labels, where all rows have one: accuracy, macroF1 and matthews, or pearson, spearman and rootMeanSquare. */
  readonly metrics?: Readonly<Record<string, number>>;
  /** How often each label (row) was taken for each (column). */
  readonly confusion?: readonly (readonly number[])[];
  readonly notes: readonly string[];
  readonly seconds: number;
}

export interface EmbedResult {
  readonly model: string;
  /** What of the hidden states becomes a vector: that of the first or last token, or the mean over all. */
  readonly pooling: "first" | "last" | "mean";
  /** Whether vectors have length one. */
  readonly normalised: boolean;
  /** A vector for each text, those of `text` before those of `data`. */
  readonly vectors: readonly Float32Array[];
  /** What a person should know, such as texts that were cut. */
  readonly notes: readonly string[];
}

export interface PlanResult {
  readonly model: string;
  readonly architecture: string;
  readonly layers: readonly {
    readonly name: string;
    readonly inFeatures: number;
    readonly outFeatures: number;
    readonly parameters: number;
  }[];
  /** Tensors that are trained whole. */
  readonly whole: readonly { readonly name: string; readonly shape: readonly number[]; readonly parameters: number }[];
  readonly trainableParameters: number;
  readonly totalParameters: number;
  /** Bytes in memory at the fullest moment of the training. */
  readonly memory: {
    /** Counted for each program that maps them, as the system does. */
    readonly weights: number;
    readonly adapter: number;
    /** Values of a batch, in training and in measuring, with the gaps that the engine leaves between them. */
    readonly activations: number;
    /** The process and its compiled programs. */
    readonly own: number;
    readonly total: number;
    /** What must be free before the run: pages of weights are there once, whoever maps them. */
    readonly needed: number;
    readonly available: number;
  };
  readonly device: string;
  readonly precision: string;
  /** Whether blocks are computed again in the backward pass. */
  readonly gradientCheckpointing: boolean;
  /** What would lower the peak, each by itself: options and the total, most first. */
  readonly changes: readonly { readonly options: string; readonly total: number; readonly fits: boolean }[];
  readonly trainExamples?: number;
  readonly validationExamples?: number;
  /** Updates; absent where the data is needed to know. */
  readonly steps?: number;
  readonly tokens?: number;
  readonly tokensPerSecond?: number;
  readonly seconds?: number;
  readonly notes: readonly string[];
}

export interface PullResult {
  readonly kind: "folder" | "gguf";
  readonly path: string;
  /** What a person should know, such as that the model came from its second source. */
  readonly notes: readonly string[];
}

/** Lorikeet's own cache: its size, or after clearing it what was freed. */
export interface PushResult {
  /** The address of the commit; undefined where nothing was uploaded. */
  readonly url: string | undefined;
  readonly repository: string;
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  /** The card, README.md. */
  readonly card: string;
}

export interface CacheResult {
  readonly folder: string;
  readonly bytes: number;
}

export interface DoctorReport {
  readonly lorikeet: string;
  readonly node: string;
  readonly platform: string;
  readonly processor: { readonly model: string; readonly cores: number; readonly features: readonly string[] };
  readonly memory: { readonly total: number; readonly available: number };
  readonly devices: readonly {
    readonly device: string;
    readonly available: boolean;
    readonly detail: string;
    /** Measured on a product of the size that training meets, 10⁹ operations per second. */
    readonly gigaflops?: number;
    /** What products of 8-bit numbers, `--precision int8`, are on it; absent where there are none. */
    readonly int8?: {
      /** Whether the largest sums come out whole. Where they do not, int8 is refused. */
      readonly exact: boolean;
      /** How many times as fast as in float32 a product is, its rounding included. */
      readonly speedup: number;
    };
  }[];
  readonly cache: { readonly folder: string; readonly bytes: number };
  /** What `auto` stands for here. */
  readonly auto: { readonly device: string; readonly precision: string };
  readonly notes: readonly string[];
}

/** Every workflow, as the command line calls it and the library offers it. */
export interface Workflows {
  train(options: TrainOptions & { readonly signal?: AbortSignal }): AsyncGenerator<TrainEvent>;
  demo(options: DemoOptions & { readonly signal?: AbortSignal }): AsyncGenerator<TrainEvent>;
  loadModel(model: string, options?: LoadModelOptions): Promise<LanguageModel>;
  loadAdapter(model: LanguageModel, directory: string, options?: { name?: string }): Promise<LoadedAdapter>;
  generate(model: LanguageModel, request: GenerateRequest): AsyncGenerator<string>;
  generateBatch(model: LanguageModel, requests: readonly BatchRequest[], options?: BatchOptions): AsyncGenerator<BatchPiece>;
  classify(options: ClassifyOptions & { readonly texts?: readonly TextToLabel[] } & Controls): Promise<ClassifyResult>;
  evaluate(options: EvaluateOptions & Controls): Promise<EvaluationResult>;
  embed(options: EmbedOptions & Controls): Promise<EmbedResult>;
  merge(options: MergeOptions & Controls): Promise<MergeResult>;
  unmerge(options: UnmergeOptions & Controls): Promise<UnmergeResult>;
  exportAdapter(options: ExportOptions & Controls): Promise<ExportResult>;
  combine(options: CombineOptions & Controls): Promise<CombineResult>;
  resize(options: ResizeOptions & Controls): Promise<ResizeResult>;
  convert(options: ConvertOptions & Controls): Promise<ConvertResult>;
  extract(options: ExtractOptions & Controls): Promise<ExtractResult>;
  eject(options: EjectOptions & Controls): Promise<EjectResult>;
  importConfig(options: ImportOptions): Promise<ImportResult>;
  plan(options: PlanOptions & Controls): Promise<PlanResult>;
  inspectData(options: DataOptions & Controls): Promise<DataReport>;
  inspect(directory: string, options?: Omit<InspectOptions, "directory"> & Controls): Promise<InspectResult>;
  rank(options: RankOptions & Controls): Promise<RankResult>;
  push(options: PushOptions & Controls): Promise<PushResult>;
  pull(model: string, controls?: Controls): Promise<PullResult>;
  doctor(controls?: Controls): Promise<DoctorReport>;
  cache(action: "show" | "clear"): Promise<CacheResult>;
}
