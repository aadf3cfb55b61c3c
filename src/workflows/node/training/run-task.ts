import type { Example } from "../../../data/example.js";
import type { LabelledExample } from "../../../data/labelled-example.js";
import type { PairExample } from "../../../data/pair.js";
import type { Adapter, AdapterConfig, AdapterVectors, Labelling } from "../../../lora/adapter.js";
import type { LinearLayer } from "../../../lora/layer.js";
import type { AdapterLayout, WholeTensor } from "../../../lora/layout.js";
import type { InputDirections, UpdateShaping } from "../../../lora/variants/variant.js";
import type { HeadParameter, ModelGraph } from "../../../models/architecture.js";
import type { CompileOptions } from "../../../runtime/program.js";
import type { LossProgram } from "../../../training/loss-program.js";
import type { RunIdentity } from "../../../training/node/checkpoint-file.js";
import type { Task } from "../../../training/sequence-graph.js";
import type { Evaluation, TrainerState } from "../../../training/trainer.js";
import type { DoneEvent, Progress, TrainEvent } from "../../api.js";
import type { TrainSettings } from "../../options.js";
import type { DescribedModel, OpenedModel, OpenOptions } from "../open-model.js";
import type { TaughtData } from "../run-data.js";
import type { RunFolder } from "../run-folder.js";
import type { CheckpointingChoice } from "../run-memory.js";
import type { TargetSpec } from "./target.js";

/** What the options of a run say of its data and task. */
export type TaskSettings = Pick<
  TrainSettings,
  "model" | "data" | "valid" | "maxLength" | "overflow" | "seed" | "task" | "classWeights" | "batchSize"
>;

export type TaughtExample = Example | LabelledExample | PairExample;

/** What examples are measured with during training. */
export interface Validation {
  readonly program: LossProgram;
  readonly trainables: Float32Array;
  readonly batchSize: number;
  /** Lets other work of the thread happen between batches. */
  readonly breathe: () => Promise<void>;
}

/** What a run learns, out of what, and how it is measured. */
export interface RunTask<Taught extends TaughtExample = TaughtExample> {
  /** The model and its objective. */
  readonly learned: Task;
  readonly data: TaughtData<Taught>;
  /** What a person should know of the data. */
  readonly notes: readonly string[];
  /** What the adapter's configuration says of the task. */
  readonly config: Pick<AdapterConfig, "taskType" | "trainedModules">;
  readonly labelling: Labelling | undefined;
  /** The adapter as its folder names the layers, where these are not the model's own names. */
  readonly saved?: (adapter: Adapter) => Adapter;
  /** Examples that score the adapter at the end, at most. */
  readonly mostScoring: number | undefined;
  /** What of the head starts afresh; whatever else is trained whole starts as the checkpoint has it. */
  readonly fresh: readonly HeadParameter[];
  /** The loss of some validation examples, and what else the task measures of them. */
  validate(examples: readonly Taught[], validation: Validation): Promise<Evaluation>;
  /** Measures a run that has ended and writes its report; returns what the last event says of it. */
  measure(run: TrainedRun<Taught>, context: MeasureContext): Promise<Pick<DoneEvent, "target" | "general" | "ranking"> | undefined>;
}

/** A task with the model that it was read for. */
export interface ReadTask {
  readonly described: DescribedModel<ModelGraph>;
  readonly task: RunTask;
}

/** Reads a run's files, then the description of its model: a mistake is told before it has cost time. */
export type TaskReader = (settings: TaskSettings, options: OpenOptions) => Promise<ReadTask>;

/** What a look at the data has made of a new adapter. */
export interface DataStarted<Started = RunProduct> {
  /** The adapter as it is to be made. */
  readonly product: Started;
  /** Rank of each layer by its name; goes into the identity of the run. */
  readonly ranks: Readonly<Record<string, number>>;
  /** What a layer reads; absent where a checkpoint holds what came of it. */
  readonly inputsOf?: ((layer: LinearLayer) => InputDirections) | undefined;
}

/** What is looked at, and with what. */
export interface Look {
  readonly settings: TrainSettings;
  readonly task: RunTask;
  readonly compile: CompileOptions;
  readonly maxTokens: number;
}

/** All that stands before the first step. */
export interface PreparedRun {
  readonly settings: TrainSettings;
  readonly opened: OpenedModel<ModelGraph>;
  readonly task: RunTask;
  readonly product: RunProduct;
  readonly layout: AdapterLayout;
  readonly config: AdapterConfig;
  /** W of the checkpoint, where frozen weights may be others. */
  readonly weightOf: (layer: LinearLayer) => Promise<Float32Array>;
  /** What layers read in the data, where a new adapter starts from it. */
  readonly inputsOf: DataStarted["inputsOf"];
  readonly identity: RunIdentity;
  /** Tokens of the longest row of a batch. */
  readonly maxTokens: number;
  /** No batch of training has more learned places. */
  readonly maxSupervised: number;
  readonly checkpointing: CheckpointingChoice;
}

/** What is measured: a run that has ended, and the examples that score its adapter. */
export interface TrainedRun<Taught extends TaughtExample = TaughtExample> {
  readonly prepared: PreparedRun;
  readonly folder: RunFolder;
  readonly target: TargetSpec;
  readonly examples: readonly Taught[];
  /** What a reader should know of them. */
  readonly caution: string | undefined;
  readonly state: TrainerState;
  /** What the adapter kept of its start. */
  readonly frozen: Float32Array;
  readonly cost: Pick<DoneEvent, "seconds" | "tokensPerSecond" | "peakBytes">;
}

/** The surroundings of measuring. */
export interface MeasureContext {
  readonly signal: AbortSignal;
  readonly emit: (event: TrainEvent) => void;
}

/** What a run has come to. */
export interface RunValues extends Pick<AdapterVectors, "frozen"> {
  readonly prepared: Pick<PreparedRun, "layout" | "config"> & {
    readonly opened: Pick<OpenedModel<ModelGraph>, "name" | "path" | "config" | "model" | "checkpoint" | "ggufMetadata">;
    readonly task: Pick<RunTask, "labelling" | "saved">;
  };
  readonly folder: RunFolder;
  readonly state: Pick<TrainerState, "trainables" | "best">;
}

/** A run before its model is opened. */
export type PlannedRun = Pick<PreparedRun, "settings" | "layout" | "task">;

/** What a run trains, and what it writes of it. */
export interface RunProduct {
  readonly kind: "adapter" | "model";
  /**
   * Where all that is trained lies in one vector. Throws InputError where that cannot be.
   *
   * @param head what the task trains whole
   */
  layout(model: ModelGraph, head: readonly WholeTensor[]): AdapterLayout;
  /** What shapes its updates beside the gradient of the loss; undefined where nothing does. */
  shaping(layout: AdapterLayout): UpdateShaping | undefined;
  /** The model that it is trained beside: the given one, or one that a variant makes of it for itself. */
  ownBase<Model extends ModelGraph>(
    described: DescribedModel<Model>,
    run: PlannedRun,
    options: OpenOptions,
  ): Promise<DescribedModel<Model>>;
  /** Lets what starts from data look at the first batches of the run; undefined where nothing does. */
  lookAtData(look: Look, saved: RunIdentity | undefined, options: OpenOptions): Promise<DataStarted | undefined>;
  /** What an adapter of the trained values says of itself. */
  config(
    layout: AdapterLayout,
    model: ModelGraph,
    modelName: string,
    task: Pick<AdapterConfig, "taskType" | "trainedModules">,
  ): AdapterConfig;
  /** Where in a run's folder the product lies. */
  place(folder: RunFolder): string;
  /** Writes it beside each checkpoint. */
  keep(run: RunValues): Promise<void>;
  /** Writes what is written once, when the run has ended. */
  finish(run: RunValues, onProgress: (progress: Progress) => void): Promise<void>;
}
