import type { LabelledExample } from "../../../data/labelled-example.js";
import { measuresOf } from "../../../evaluation/labels/measures.js";
import { readLabelledRun } from "../label-data.js";
import { labelObjective, TRAINED_MODULES, taskTypeOf } from "../label-head.js";
import { encodeLabels } from "../labelled-task.js";
import { predictLabels } from "../predict-labels.js";
import { measureLabels } from "./label-report.js";
import type { RunTask, TaskReader } from "./run-task.js";

/** Examples that score a head at the end: a forward pass each. */
const MOST_SCORING = 2_000;

/** To tell the label of a text, of each word, or a number: an adapter and a head are trained. */
export const readLabelTask: TaskReader = async (settings, options) => {
  const { task } = settings;
  if (task === "sft" || task === "embedding") throw new Error(`the task ${task} has no labels`);
  const rows = await readLabelledRun(settings, task, options);
  const { described, labelling, fromCheckpoint, head, data } = await encodeLabels({ ...settings, task }, rows, options);
  const { model } = described;
  const { notes } = data;
  const objective = labelObjective(task, head);
  const labelTask: RunTask<LabelledExample> = {
    learned: { model, objective },
    data,
    notes: fromCheckpoint ? [...notes, "the head of the checkpoint is trained on: its labels are those of the data"] : notes,
    config: { taskType: taskTypeOf(task), trainedModules: TRAINED_MODULES },
    labelling,
    mostScoring: MOST_SCORING,
    fresh: fromCheckpoint ? [] : head.parameters,
    async validate(examples, { program, trainables, batchSize, breathe }) {
      const { loss, outputs } = await predictLabels(program, examples, trainables, batchSize, breathe);
      return { loss, metrics: measuresOf(labelling, examples, outputs).metrics };
    },
    measure: (run, context) => measureLabels({ ...run, labelling, learned: { model, objective } }, context),
  };
  return { described, task: labelTask };
};
