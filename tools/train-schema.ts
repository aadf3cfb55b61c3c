import { durations, trainSet } from "../src/workflows/options.js";
import { optionsSchema } from "../src/workflows/options-schema.js";

/** assets/train.schema.json, derived from the declarations of the options: the schema of run.yaml. */
export function trainSchemaText(): string {
  const { resume: _resume, ...shape } = trainSet.shape;
  return `${JSON.stringify(optionsSchema(shape, "A training run of Lorikeet", [durations, ["betas", "momentum"]]), null, 2)}\n`;
}
