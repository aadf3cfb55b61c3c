import type { EvaluationResult } from "../api.js";

/** What measuring a file gives, whatever the task. */
export type Measured = Pick<EvaluationResult, "comparisons" | "samples" | "notes" | "sentence" | "metrics" | "labels" | "confusion">;
