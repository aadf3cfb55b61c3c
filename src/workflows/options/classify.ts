import { integer, option, text } from "../option.js";
import { type OptionSet, type OptionsOf, optionSet, type ValuesOf } from "../parse-options.js";
import { batchSize, columns, dataFileWords, groups, machineShape, maxLength, model } from "./common.js";

const classifyShape = {
  model: model(),
  adapter: option(text("a folder with adapter_config.json and adapter_model.safetensors"), {
    required: true,
    value: "DIR",
    group: groups.files,
    help: "The adapter with its head, as `train --task classification` (or token-classification, or regression) writes it.",
  }),
  text: option(text("a text"), {
    positional: true,
    value: "TEXT",
    group: groups.files,
    without: "--data, or the lines of standard input",
    help: "The text to label.",
  }),
  data: option(text(dataFileWords), {
    value: "FILE",
    group: groups.files,
    help: "Texts to label: rows with text (and text_pair), or with tokens. Where every row has its label too, the labels are compared.",
  }),
  limit: option(integer({ min: 1, max: 10_000_000 }), {
    value: "N",
    unit: "rows",
    group: groups.measuring,
    without: "all of them",
    help: "Label the first N rows only.",
  }),
  batchSize: batchSize("Texts that are labelled together. Lower it if memory runs out."),
  maxLength: maxLength(),
  columns: columns(),
  ...machineShape("answering"),
};

/** What the classify workflow works with. */
export type ClassifySettings = ValuesOf<typeof classifyShape>;
export type ClassifyOptions = OptionsOf<typeof classifyShape>;

export const classifySet: OptionSet<typeof classifyShape, ClassifySettings> = optionSet(
  "classify",
  "Label texts with an adapter and the head trained beside it.",
  classifyShape,
  (given, where) => ("text" in given && "data" in given ? [`give either ${where("text")} or ${where("data")}`] : []),
);
