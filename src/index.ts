// The front door of the library: what is listed here is public, and nothing else is.

export { InputError, RunError } from "./errors.js";
export type {
  BatchOptions,
  BatchPiece,
  BatchRequest,
  Change,
  Classified,
  ClassifyOptions,
  ClassifyResult,
  CombineOptions,
  CombineResult,
  Comparison,
  Controls,
  ConvertOptions,
  ConvertResult,
  DataOptions,
  DataReport,
  DerivedAdapter,
  DerivedLayer,
  DoctorReport,
  DoneEvent,
  EjectOptions,
  EjectResult,
  EmbedOptions,
  EmbedResult,
  EvaluateOptions,
  EvaluationResult,
  ExportOptions,
  ExportResult,
  ExtractOptions,
  ExtractResult,
  GenerateRequest,
  ImportOptions,
  ImportResult,
  InspectOptions,
  InspectResult,
  LabelReport,
  LanguageModel,
  LengthStatistics,
  LoadedAdapter,
  LoadModelOptions,
  MaskedText,
  MergeOptions,
  MergeResult,
  MergeRounding,
  Message,
  PlanOptions,
  PlanResult,
  Progress,
  PullResult,
  PushOptions,
  PushResult,
  RankOptions,
  RankResult,
  ResizeOptions,
  ResizeResult,
  Sample,
  SamplingOptions,
  TextToLabel,
  TradeOffReport,
  TrainEvent,
  TrainOptions,
  UnmergeOptions,
  UnmergeResult,
} from "./workflows/api.js";
export { classify } from "./workflows/node/classify.js";
export { combine } from "./workflows/node/combine.js";
export { convert } from "./workflows/node/convert.js";
export { doctor } from "./workflows/node/doctor.js";
export { eject } from "./workflows/node/eject.js";
export { embed } from "./workflows/node/embed.js";
export { evaluate } from "./workflows/node/evaluate.js";
export { exportAdapter } from "./workflows/node/export-adapter.js";
export { extract } from "./workflows/node/extract.js";
export { generate, generateBatch } from "./workflows/node/generate.js";
export { importConfig } from "./workflows/node/import-config.js";
export { inspect } from "./workflows/node/inspect.js";
export { inspectData } from "./workflows/node/inspect-data.js";
export { loadAdapter, loadModel, unloadAdapter } from "./workflows/node/load-model.js";
export { merge } from "./workflows/node/merge.js";
export { plan } from "./workflows/node/plan.js";
export { pull } from "./workflows/node/pull.js";
export { push } from "./workflows/node/push.js";
export { rank } from "./workflows/node/rank.js";
export { resize } from "./workflows/node/resize.js";
export { train } from "./workflows/node/train.js";
export { unmerge } from "./workflows/node/unmerge.js";
