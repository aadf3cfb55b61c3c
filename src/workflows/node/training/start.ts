import { type AdapterStart, freshTensor } from "../../../lora/initialise.js";
import { startOfWhole } from "../../../lora/trained-tokens.js";
import { weightsOf } from "../applied-adapter.js";
import type { PreparedRun } from "./run-task.js";

/** How what a run trains begins: the adapter as its variant says, a new head at random, the rest as the checkpoint has it. */
export function startOf({
  task,
  settings,
  opened,
  config,
  weightOf,
  inputsOf,
}: Pick<PreparedRun, "task" | "settings" | "opened" | "config" | "weightOf" | "inputsOf">): AdapterStart {
  const { initialisation, svdRounds: rounds, seed } = settings;
  const fresh = new Map(task.fresh.map((parameter) => [parameter.name, parameter]));
  return {
    initialisation,
    rounds,
    seed,
    settings: config.settings,
    weightOf,
    baseOf: weightsOf(opened),
    inputsOf,
    wholeOf: (tensor) => {
      const parameter = fresh.get(tensor.name);
      return parameter === undefined ? startOfWhole(opened, tensor) : freshTensor(parameter, seed);
    },
  };
}
