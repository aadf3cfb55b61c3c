import type { LabelledRow } from "../../data/labelled-row.js";
import { collectLabels } from "../../data/labels.js";
import type { Series } from "../../data/series.js";
import type { Labelling, TaskType } from "../../lora/adapter.js";
import type { ClassificationHead, ClassificationTask, ModelGraph } from "../../models/architecture.js";
import { classification, regression } from "../../training/objectives/labels.js";
import type { Objective } from "../../training/objectives/objective.js";
import type { Checkpoint } from "../../weights/checkpoint.js";
import type { LabelTaskName } from "./label-data.js";

/** PEFT's names of the modules that a classification trains whole; it lists both, whichever the model has. */
export const TRAINED_MODULES: readonly string[] = ["classifier", "score"];

/** Whether a task of `--task` is one with labels. */
export const isLabelTask = (task: string): task is LabelTaskName =>
  task === "classification" || task === "token-classification" || task === "regression";

export const graphTask = (task: LabelTaskName): ClassificationTask => (task === "token-classification" ? "token" : "sequence");

export const taskTypeOf = (task: LabelTaskName): TaskType => (task === "token-classification" ? "TOKEN_CLS" : "SEQ_CLS");

export const labelObjective = (task: LabelTaskName, head: ClassificationHead): Objective =>
  task === "regression" ? regression(head) : classification(head);

/** What the outputs of a new head stand for, and whether the checkpoint has that head already. */
export interface HeadChoice {
  readonly labelling: Labelling;
  readonly fromCheckpoint: boolean;
}

/** A regression has one output, which has transformers' name for it. */
const VALUE = "LABEL_0";

/** The labels of the data, in the checkpoint's order where it has a head for all of them. */
export function chooseLabels(
  task: LabelTaskName,
  rows: Series<LabelledRow>,
  model: ModelGraph,
  { config, checkpoint }: { readonly config: Readonly<Record<string, unknown>>; readonly checkpoint: Checkpoint },
): HeadChoice {
  const has = (labels: readonly string[]) => hasHead(model.classificationHead(graphTask(task), labels.length), checkpoint);
  if (task === "regression") return { labelling: { task, labels: [VALUE] }, fromCheckpoint: has([VALUE]) };
  const found = collectLabels(rows);
  const known = namedLabels(config);
  const agree = known !== undefined && (found.every((label) => known.includes(label)) || isCount(found, known.length));
  if (known !== undefined && agree && has(known)) return { labelling: { task, labels: known }, fromCheckpoint: true };
  return { labelling: { task, labels: found }, fromCheckpoint: false };
}

/** The labels of a configuration, `id2label` of transformers, in the order of their numbers. */
export function namedLabels(config: Readonly<Record<string, unknown>>): string[] | undefined {
  const { id2label } = config;
  if (typeof id2label !== "object" || id2label === null || Array.isArray(id2label)) return undefined;
  const names = new Map(Object.entries(id2label));
  const labels = Array.from({ length: names.size }, (_, index) => names.get(String(index)));
  return labels.length >= 1 && labels.every((label) => typeof label === "string") ? labels : undefined;
}

/** Whether labels are numbers of so many classes. */
const isCount = (labels: readonly string[], count: number): boolean =>
  labels.every((label) => /^\d+$/.test(label) && Number(label) < count);

function hasHead({ parameters }: ClassificationHead, { tensors }: Checkpoint): boolean {
  return parameters.every(({ name, shape }) => tensors.get(name)?.shape.join() === shape.join());
}
