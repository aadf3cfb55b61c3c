import { option, texts, toggle } from "../option.js";
import { type OptionsOf, optionSet } from "../parse-options.js";
import { groups, machineShape } from "./common.js";

const loadModelShape = {
  adapters: option(texts("folders with adapters"), {
    value: "DIR",
    group: groups.files,
    without: "the model as it is",
    help: "Adapters to load beside the model.",
  }),
  merged: option(toggle(), { default: false, group: groups.adapter, help: "Fold the one adapter into the weights." }),
  ...machineShape("answering"),
};

/** How the library loads a model; the command line has the same under `generate` and `chat`. */
export const loadModelSet = optionSet("loadModel", "Load a model to answer with.", loadModelShape, (given, where) => {
  const count = Array.isArray(given.adapters) ? given.adapters.length : given.adapters === undefined ? 0 : 1;
  return given.merged === true && count !== 1 ? [`${where("merged")} takes exactly one of ${where("adapters")}; found ${count}`] : [];
});

export type LoadOptions = OptionsOf<typeof loadModelShape>;
