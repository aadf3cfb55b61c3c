import type { ClassificationTask, ModelGraph } from "./architecture.js";

/** The head of a language model, where it is no table of embeddings: a model that labels texts does not read it. */
const VOCABULARY_HEAD = "lm_head.weight";

/** A model up to the head of a task: with the frozen layers of that head, and without the vocabulary's. */
export function labelledModel(model: ModelGraph, task: ClassificationTask): ModelGraph {
  const { weights, linearGroups } = model.classificationHead(task, 1); // the frozen part is the same for any number of labels
  return {
    ...model,
    head: undefined,
    weights: new Map([...[...model.weights].filter(([name]) => name !== VOCABULARY_HEAD), ...weights]),
    linearGroups: [...model.linearGroups, ...linearGroups],
  };
}
