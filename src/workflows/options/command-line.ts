import { option, text } from "../option.js";
import type { OptionSet, Shape } from "../parse-options.js";
import { combineSet, convertSet, extractSet, resizeSet } from "./adapters.js";
import { classifySet } from "./classify.js";
import { groups, json, quiet } from "./common.js";
import { mergeSet, unmergeSet } from "./merge.js";
import {
  cacheSet,
  dataSet,
  demoSet,
  doctorSet,
  ejectSet,
  embedSet,
  evalSet,
  exportSet,
  importSet,
  inspectSet,
  pullSet,
  pushSet,
} from "./other.js";
import { rankSet } from "./rank.js";
import { chatSet, generateSet } from "./text.js";
import { planSet, trainSet } from "./train.js";

// What a command takes beside the options of its workflow: matters of the terminal, which the library has no use for.

const config = () =>
  option(text("a .yaml file"), {
    value: "FILE",
    group: groups.files,
    help: "Read options from this .yaml file, named as in docs/options.md (batchSize: 8). Flags win over the file.",
  });

const output = { json: json(), quiet: quiet() };
const configurable = { config: config(), ...output };

/** A command: the options of its workflow, and those of the terminal. */
export interface CommandOptions<S extends Shape, Written, X extends Shape> {
  readonly set: OptionSet<S, unknown, Written>;
  readonly extra: X;
}

function command<S extends Shape, Written, X extends Shape>(set: OptionSet<S, unknown, Written>, extra: X): CommandOptions<S, Written, X> {
  return { set, extra };
}

/** Every command, in the order of help. */
export const commandOptions = {
  demo: command(demoSet, output),
  doctor: command(doctorSet, { json: json() }),
  pull: command(pullSet, output),
  data: command(dataSet, output),
  plan: command(planSet, configurable),
  train: command(trainSet, configurable),
  generate: command(generateSet, output),
  chat: command(chatSet, {}),
  classify: command(classifySet, output),
  eval: command(evalSet, output),
  embed: command(embedSet, output),
  inspect: command(inspectSet, output),
  rank: command(rankSet, output),
  combine: command(combineSet, output),
  resize: command(resizeSet, output),
  convert: command(convertSet, output),
  extract: command(extractSet, output),
  merge: command(mergeSet, output),
  unmerge: command(unmergeSet, output),
  export: command(exportSet, output),
  eject: command(ejectSet, output),
  import: command(importSet, output),
  push: command(pushSet, output),
  cache: command(cacheSet, { json: json() }),
} as const;
