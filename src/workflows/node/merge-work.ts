import type { ModelType } from "../../interchange/gguf/tensor-types.js";
import type { Adapter } from "../../lora/adapter.js";
import type { RoundingMeter } from "../../lora/merge-rounding.js";
import type { ModelGraph } from "../../models/architecture.js";
import type { MergeResult } from "../api.js";
import type { MergeSettings } from "../options.js";
import type { DescribedWeights } from "./described-model.js";
import type { WrittenFiles } from "./file-sizes.js";
import type { WorkerContext } from "./worker/context.js";

/** What is merged. */
export interface MergeWork {
  readonly described: DescribedWeights<ModelGraph>;
  readonly adapter: Adapter;
  readonly settings: MergeSettings;
  readonly context: WorkerContext;
  /** Measures what rounding does to the merged weights. */
  readonly meter: RoundingMeter;
}

/** What merging wrote, and what it kept of the base where that was asked for. */
export type MergedFiles = WrittenFiles & Pick<MergeResult, "record">;

/** The types of weights in folders and GGUF by their names in the options. */
export const weightTypes = {
  original: "original",
  base: "base",
  f32: "F32",
  f16: "F16",
  bf16: "BF16",
  q8_0: "Q8_0",
  q6_k: "Q6_K",
  q5_k: "Q5_K",
  q5_1: "Q5_1",
  q5_0: "Q5_0",
  q4_k: "Q4_K",
  q4_1: "Q4_1",
  q4_0: "Q4_0",
} as const satisfies Partial<Record<NonNullable<MergeSettings["dtype"]>, ModelType | "original">>;
