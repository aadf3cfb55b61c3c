import type { Adapter } from "../../lora/adapter.js";
import type { RoundingMeter } from "../../lora/merge-rounding.js";
import type { ModelGraph } from "../../models/architecture.js";
import type { WrittenType } from "../../weights/written-types.js";
import type { MergeSettings } from "../options.js";
import type { DescribedModel } from "./described-model.js";
import type { WorkerContext } from "./worker/context.js";

/** What is merged. */
export interface MergeWork {
  readonly described: DescribedModel<ModelGraph>;
  readonly adapter: Adapter;
  readonly settings: MergeSettings;
  readonly context: WorkerContext;
  /** Measures what rounding does to the merged weights. */
  readonly meter: RoundingMeter;
}

/** The types of weights by their names in the options. */
export const weightTypes = { original: "original", f32: "F32", f16: "F16", bf16: "BF16", q8_0: "Q8_0" } as const satisfies Record<
  NonNullable<MergeSettings["dtype"]>,
  WrittenType | "original"
>;
