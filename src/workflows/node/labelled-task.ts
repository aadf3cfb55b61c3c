import type { LabelledRow } from "../../data/labelled-row.js";
import type { ClassWeighting } from "../../data/labels.js";
import { readModel } from "../../models/index.js";
import { labelledModel } from "../../models/labelled-model.js";
import { encodeLabelledRun, type LabelTaskName } from "./label-data.js";
import { chooseLabels, graphTask } from "./label-head.js";
import { describeModelAs, type OpenOptions } from "./open-model.js";
import type { DataChoice, RunRows } from "./run-data.js";

/** What labels are to be learned, and of which model. */
export interface LabelChoiceOfRun extends DataChoice {
  readonly model: string;
  readonly task: LabelTaskName;
  readonly classWeights: ClassWeighting;
}

/** A model with a head, the labels that this is for, and the rows as its tokens. */
export async function encodeLabels(settings: LabelChoiceOfRun, rows: RunRows<LabelledRow>, options: OpenOptions) {
  const { task } = settings;
  const described = await describeModelAs((config) => labelledModel(readModel(config), graphTask(task)), settings.model, options);
  const { model, codec } = described;
  const { labelling, fromCheckpoint } = chooseLabels(task, rows.data.rows, model, described);
  const head = model.classificationHead(graphTask(task), labelling.labels.length);
  const data = await encodeLabelledRun(codec, rows, { ...settings, maxPositions: model.dimensions.maxPositions }, labelling, head, options);
  return { described, labelling, fromCheckpoint, head, data };
}
