import { type ClassificationTask, HEAD_WEIGHT, type ModelGraph } from "./architecture.js";

/** A model up to the head of a task: with the frozen layers of that head, and without the vocabulary's, where it is no table. */
export function labelledModel(model: ModelGraph, task: ClassificationTask): ModelGraph {
  const { weights, linearGroups } = model.classificationHead(task, 1); // the frozen part is the same for any number of labels
  return {
    ...model,
    head: undefined,
    weights: new Map([...[...model.weights].filter(([name]) => name !== HEAD_WEIGHT), ...weights]),
    linearGroups: [...model.linearGroups, ...linearGroups],
  };
}
