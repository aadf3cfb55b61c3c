// The front of the options: every option of every workflow is declared once, in options/*.ts. Command line, config file,
// library types and docs/options.md derive from those declarations.

export type { LayerSelection } from "../lora/targets.js";
export { helpFor, type OptionInfo } from "./option.js";
export { FULL } from "./options/adapter.js";
export {
  type CombineOptions,
  type CombineSettings,
  type ConvertOptions,
  combineSet,
  convertSet,
  type ExtractOptions,
  extractSet,
  type ResizeOptions,
  resizeSet,
} from "./options/adapters.js";
export { type ClassifyOptions, type ClassifySettings, classifySet } from "./options/classify.js";
export { groups, json, type Precision, quiet } from "./options/common.js";
export {
  formOf,
  type MergeOptions,
  type MergeSettings,
  mergeSet,
  type UnmergeOptions,
  type UnmergeSettings,
  unmergeSet,
} from "./options/merge.js";
export {
  cacheSet,
  type DataOptions,
  type DataSettings,
  type DemoOptions,
  type DemoSettings,
  dataSet,
  demoSet,
  doctorSet,
  type EjectOptions,
  type EmbedOptions,
  type EmbedSettings,
  type EvaluateOptions,
  type EvaluateSettings,
  type ExportOptions,
  type ExportSettings,
  ejectSet,
  embedSet,
  evalSet,
  exportSet,
  type ImportOptions,
  type InspectOptions,
  importSet,
  inspectSet,
  type PushOptions,
  pullSet,
  pushSet,
} from "./options/other.js";
export { type RankOptions, type RankSettings, rankSet } from "./options/rank.js";
export {
  type BatchSettings,
  batchSet,
  type ChatOptions,
  chatSet,
  type GenerateOptions,
  generateSet,
  type SamplingOptions,
  type SamplingSettings,
  samplingSet,
} from "./options/text.js";
export {
  type Duration,
  durations,
  type PlanOptions,
  type PlanSettings,
  planSet,
  type TrainOptions,
  type TrainSettings,
  trainSet,
} from "./options/train.js";
export {
  checkOptions,
  flagName,
  inCode,
  inFile,
  infoOf,
  type OptionSet,
  type OptionSource,
  onCommandLine,
  parseOptions,
} from "./parse-options.js";
