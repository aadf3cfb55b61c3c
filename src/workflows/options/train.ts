import * as z from "zod";
import type { ClassWeighting } from "../../data/labels.js";
import type { OptimizerSettings } from "../../training/optimizer.js";
import { choice, helpFor, integer, number, option, ratePair, text, toggle, type ValueKind } from "../option.js";
import { infoOf, type OptionSet, type OptionsOf, type ValuesOf } from "../parse-options.js";
import { adapterShape, FULL } from "./adapter.js";
import {
  batchSize,
  columns,
  dataFileWords,
  groups,
  heldOutTwice,
  holdingOut,
  machineShape,
  maxLength,
  model,
  overflow,
  seed,
  standardInputTwice,
  task,
} from "./common.js";
import { methodRules } from "./method-rules.js";

/** `none`, `balanced`, or weights by name as `spam=3,ham=1`. */
function classWeighting(): ValueKind<z.ZodType<ClassWeighting, string>> {
  const schema = z
    .string()
    .trim()
    .min(1)
    .transform((text, context): ClassWeighting => {
      if (text === "none" || text === "balanced") return { kind: text };
      const weights: [string, number][] = [];
      for (const part of text.split(",")) {
        const at = part.lastIndexOf("=");
        const [name, weight] = [part.slice(0, at).trim(), Number(part.slice(at + 1))];
        if (at < 1 || name === "" || !(Number.isFinite(weight) && weight >= 0)) {
          context.addIssue({ code: "custom", message: `${JSON.stringify(part)} is not NAME=NUMBER` });
        } else weights.push([name, weight]);
      }
      return { kind: "given", weights: Object.fromEntries(weights) }; // a label may be called "__proto__"
    });
  return { kind: "weights", schema, expected: "none, balanced, or weights by name such as spam=3,ham=1" };
}

const trainShape = {
  model: model(),
  data: option(text(dataFileWords), {
    required: true,
    value: "FILE",
    group: groups.files,
    help: "The examples to learn from: a .jsonl, .json or .csv file (also .gz), a .parquet file, a folder of them, or - for standard input. `lorikeet data FILE --model MODEL` shows how it is understood.",
  }),
  out: option(text("a folder"), {
    required: true,
    value: "DIR",
    group: groups.files,
    help: "The folder that receives the adapter, the checkpoints, the measurements and the report.",
  }),
  valid: option(text(dataFileWords), {
    value: "FILE",
    group: groups.files,
    without: "a tenth of --data is held out, 10 to 500 rows",
    help: "Examples that are never trained on and measure progress. Give your own if rows of --data are near copies of one another.",
  }),
  resume: option(toggle(), {
    default: false,
    group: groups.files,
    help: "Go on from the last checkpoint in --out after an interruption; repeat the other options unchanged.",
  }),
  ...adapterShape,
  task: task(groups.training),
  classWeights: option(classWeighting(), {
    default: "none",
    value: "WEIGHTS",
    group: groups.training,
    help: "What an example of each class counts for in a classification: none (all the same), balanced (rare classes as much as frequent ones together), or weights by name such as spam=3,ham=1. Choose balanced if a rare class is hardly ever predicted.",
  }),
  epochs: option(number({ above: 0, max: 1e6 }), {
    value: "NUMBER",
    group: groups.training,
    without: "1, unless --steps or --minutes is given",
    help: "Passes over the training data. Use 2 to 5 with a few hundred examples, 1 with many thousand.",
  }),
  steps: option(integer({ min: 1, max: 1e9 }), {
    value: "N",
    unit: "updates",
    group: groups.training,
    help: "Number of updates, instead of --epochs.",
  }),
  minutes: option(number({ above: 0, max: 1e6 }), {
    value: "NUMBER",
    unit: "minutes",
    group: groups.training,
    help: "Training time, instead of --epochs; loading and measuring are not counted.",
  }),
  lr: option(number({ above: 0, max: 100 }), {
    value: "RATE",
    group: groups.training,
    without: "2e-4, or 2e-5 with --method full",
    help: "Learning rate, the size of each update. Halve it if the loss jumps up or becomes NaN; double it if the loss hardly falls.",
  }),
  loraPlusRatio: option(number({ above: 0, max: 1e6 }), {
    default: 1,
    value: "RATIO",
    group: groups.training,
    help: "How many times faster matrix B learns than matrix A (LoRA+). Try 4 to 16 with a lower --lr if training is slow to take hold.",
  }),
  schedule: option(choice(["constant", "linear", "cosine"]), {
    default: "cosine",
    value: "NAME",
    group: groups.training,
    help: "How the learning rate goes on after warm-up: constant, linear or cosine (both fall to 0). Use constant if you mean to train on later.",
  }),
  warmup: option(number({ min: 0, max: 1 }), {
    default: 0.03,
    value: "SHARE",
    group: groups.training,
    help: "Share of the run in which the learning rate rises from 0. Raise it to 0.1 if the first updates are unstable.",
  }),
  batchSize: batchSize("Examples per batch. Lower it if memory runs out, and raise --accumulate by the same factor."),
  accumulate: option(integer({ min: 1, max: 65_536 }), {
    default: 1,
    value: "N",
    unit: "batches",
    group: groups.training,
    help: "Batches per update. Equals a larger batch at the memory of a small one; raise it if the loss is noisy.",
  }),
  optimizer: option(choice(["adamw", "sgd"]), {
    default: "adamw",
    value: "NAME",
    group: groups.training,
    help: "The rule of the update: adamw or sgd. Keep adamw unless memory is very short.",
  }),
  betas: option(ratePair(), {
    value: "B1,B2",
    group: groups.training,
    without: "0.9,0.999; with adamw alone",
    help: "How slowly adamw's two running means of the gradient forget. Rarely worth changing.",
  }),
  momentum: option(number({ min: 0, below: 1 }), {
    value: "NUMBER",
    group: groups.training,
    without: "0.9; with sgd alone",
    help: "Share of the last update that sgd keeps. Lower it if sgd overshoots.",
  }),
  weightDecay: option(number({ min: 0, max: 100 }), {
    default: 0,
    value: "NUMBER",
    group: groups.training,
    help: "Pull of the adapter's weights towards 0 at each update. Try 0.01 to 0.1 if validation loss rises while training loss falls.",
  }),
  clip: option(number({ min: 0, max: 1e6 }), {
    default: 1,
    value: "NORM",
    group: groups.training,
    help: "Longest gradient (its norm over all weights) an update may use; 0 turns clipping off. Lower it if the loss shows spikes.",
  }),
  seed: seed(
    groups.training,
    "Start of all randomness: held-out rows, order, matrix A, dropout. Change it to see how much of a result is luck.",
  ),
  maxLength: maxLength(),
  overflow: overflow(),
  columns: columns(),
  ...holdingOut(),
  evalEvery: option(integer({ min: 1, max: 1e9 }), {
    value: "N",
    unit: "updates",
    group: groups.measuring,
    without: "ten times in a run",
    help: "Updates between two measurements on the held-out examples. Raise it if measuring takes too much of the time.",
  }),
  saveEvery: option(integer({ min: 1, max: 1e9 }), {
    value: "N",
    unit: "updates",
    group: groups.measuring,
    without: "at each measurement",
    help: "Updates between two checkpoints. Lower it if the machine may stop at any moment.",
  }),
  report: option(toggle(), {
    default: true,
    group: groups.measuring,
    help: "Measure at the end what was gained and what was lost, and write an HTML report. Without it the run ends a few minutes earlier.",
  }),
  gradientCheckpointing: option(choice(["auto", "on", "off"]), {
    default: "auto",
    value: "WHEN",
    group: groups.machine,
    help: "Compute each block of the model again in the backward pass instead of keeping its values: the same numbers, less than half the memory of a batch, a third more time. auto: where the batch would not fit otherwise.",
  }),
  ...machineShape("training"),
};

/** How long a run trains. */
export type Duration =
  | { readonly kind: "epochs"; readonly epochs: number }
  | { readonly kind: "steps"; readonly steps: number }
  | { readonly kind: "minutes"; readonly minutes: number };

/** Keeps Adam's division from zero: Kingma and Ba 2014, "Adam", algorithm 1; the same in PyTorch and PEFT. */
const adamEpsilon = 1e-8;

type TrainValues = ValuesOf<typeof trainShape>;
type Settled = "epochs" | "steps" | "minutes" | "lr" | "optimizer" | "betas" | "momentum" | "weightDecay";

/** What the train workflow works with: every default filled in, exclusive choices as unions. */
export type TrainSettings = Omit<TrainValues, Settled> & {
  readonly duration: Duration;
  readonly lr: number;
  readonly optimizer: OptimizerSettings;
};

/** Where the learning rate starts that no one has given: weights that start right bear smaller steps than those of an adapter. */
const LEARNING_RATE = 2e-4;
const FULL_LEARNING_RATE = 2e-5;

type OneDuration =
  | { epochs?: number; steps?: never; minutes?: never }
  | { steps: number; epochs?: never; minutes?: never }
  | { minutes: number; epochs?: never; steps?: never };
type OneOptimizer =
  | { optimizer?: "adamw"; betas?: readonly [number, number]; momentum?: never }
  | { optimizer: "sgd"; momentum?: number; betas?: never };

/** What a caller of `train` writes. */
export type TrainOptions = Omit<OptionsOf<typeof trainShape>, "epochs" | "steps" | "minutes" | "optimizer" | "betas" | "momentum"> &
  OneDuration &
  OneOptimizer;

/** How long a run is, in one of these. */
export const durations = ["epochs", "steps", "minutes"] as const;

function trainRules(given: Readonly<Record<string, unknown>>, where: (name: string) => string): string[] {
  const problems = [...standardInputTwice(given, where), ...heldOutTwice(given, where)];
  const lengths = durations.filter((name) => name in given);
  if (lengths.length > 1) problems.push(`${lengths.map(where).join(" and ")} exclude one another: give one`);
  const task = given.task ?? "sft";
  if ("classWeights" in given && (task === "sft" || task === "regression" || task === "embedding"))
    problems.push(
      `${where("classWeights")} belongs to the tasks classification and token-classification; ${where("task")} is ${String(task)}`,
    );
  if (task === "embedding") problems.push(...pairRules(given, where));
  problems.push(...methodRules(given, (name) => given[name] ?? infoOf(trainShape, name).default, where));
  const optimizer = given.optimizer ?? "adamw";
  if ("momentum" in given && optimizer === "adamw")
    problems.push(`${where("momentum")} belongs to the optimizer sgd; adamw has ${where("betas")}`);
  if ("betas" in given && optimizer === "sgd")
    problems.push(`${where("betas")} belongs to the optimizer adamw; sgd has ${where("momentum")}`);
  return [...problems, ...fullProblems(given, where)];
}

/** What a loss over a whole batch asks of the batches. */
function pairRules({ accumulate, batchSize }: Readonly<Record<string, unknown>>, where: (name: string) => string): string[] {
  const problems: string[] = [];
  if (typeof accumulate === "number" && accumulate > 1)
    problems.push(
      `${where("accumulate")} is 1 for the task embedding: each pair is told from the others of its batch, so that small batches are another loss; raise ${where("batchSize")}`,
    );
  if (batchSize === 1)
    problems.push(`${where("batchSize")} is 2 or more for the task embedding: a pair that is alone in its batch teaches nothing`);
  return problems;
}

/** What says how an adapter is made means nothing where there is none, and no frozen weight is left to be rounded. */
function fullProblems(given: Readonly<Record<string, unknown>>, where: (name: string) => string): string[] {
  if (given.method !== FULL) return [];
  const named = `${where("method")} ${FULL}`;
  const ofAdapters = adapterOptions
    .filter(([name, usual]) => name in given && JSON.stringify(given[name]) !== JSON.stringify(usual)) // a file of all options has those too
    .map(([name]) => `${where(name)} belongs to adapters; ${named} has none`);
  if (given.precision !== "int8" && given.precision !== "4bit") return ofAdapters;
  return [...ofAdapters, `${where("precision")} ${given.precision} rounds frozen weights; ${named} trains all of them: leave it out`];
}

/** Options that say what an adapter is and what is trained beside it, and how it learns, with their defaults. */
const adapterOptions = Object.entries(trainShape)
  .map(([name, schema]) => [name, helpFor(schema)] as const)
  .filter(([name, { group }]) => name === "loraPlusRatio" || (group === groups.adapter && name !== "method"))
  .map(([name, info]) => [name, info.default] as const);

function settleTraining({ epochs, steps, minutes, lr, optimizer, betas, momentum, weightDecay, ...rest }: TrainValues): TrainSettings {
  const duration: Duration =
    steps !== undefined
      ? { kind: "steps", steps }
      : minutes !== undefined
        ? { kind: "minutes", minutes }
        : { kind: "epochs", epochs: epochs ?? 1 };
  return {
    ...rest,
    duration,
    ...(rest.method === FULL ? { lr: lr ?? FULL_LEARNING_RATE, precision: "fp32" } : { lr: lr ?? LEARNING_RATE }),
    optimizer:
      optimizer === "adamw"
        ? { kind: "adamw", beta1: betas?.[0] ?? 0.9, beta2: betas?.[1] ?? 0.999, epsilon: adamEpsilon, weightDecay }
        : { kind: "sgd", momentum: momentum ?? 0.9, weightDecay },
  };
}

export const trainSet: OptionSet<typeof trainShape, TrainSettings, TrainOptions> = {
  name: "train",
  summary: "Train an adapter on your examples.",
  shape: trainShape,
  rules: trainRules,
  settle: settleTraining,
};

const planShape = {
  ...trainShape,
  data: option(text(dataFileWords), {
    value: "FILE",
    group: groups.files,
    without: "no time is estimated for a run in epochs",
    help: "The examples to learn from; with them the plan counts updates and time.",
  }),
  out: option(text("a folder"), {
    value: "DIR",
    group: groups.files,
    help: "Taken so that the options of train can be repeated; nothing is written.",
  }),
};

type PlanFiles = { readonly data: string | undefined; readonly out: string | undefined };

/** What the plan workflow works with: the settings of train, where the files may be absent. */
export type PlanSettings = Omit<TrainSettings, "data" | "out"> & PlanFiles;

/** What a caller of `plan` writes. */
export type PlanOptions = Omit<TrainOptions, "data" | "out"> & { data?: string | undefined; out?: string | undefined };

export const planSet: OptionSet<typeof planShape, PlanSettings, PlanOptions> = {
  name: "plan",
  summary: "Show layers, trainable parameters, memory and time of a training run, and train nothing.",
  shape: planShape,
  rules: trainRules,
  settle: ({ data: rows, out, ...values }) => ({ ...settleTraining({ ...values, data: "", out: "" }), data: rows, out }),
};
