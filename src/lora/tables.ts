import { HEAD_WEIGHT, type ModelGraph } from "../models/architecture.js";
import type { LinearGroup, LinearLayer } from "./layer.js";
import { type Method, variantOf } from "./variants/index.js";
import { moduleOf } from "./whole-tensors.js";

/** The module of a language model's head. */
export const HEAD = moduleOf(HEAD_WEIGHT);

/** What finding the matrices of the vocabulary asks of a model. */
export type VocabularyModel = Pick<ModelGraph, "weights" | "embedding" | "head" | "linearGroups">;

/**
 * The matrices W [V, C] of the vocabulary that an adapter may sit at beside the layers of the blocks: the table whose rows are the tokens'
 * embeddings, and the head, which has a place of its own where it is tied to that table too. Names mean them as in PEFT; `all-linear`
 * does not.
 */
export function vocabularyLayers({ weights, embedding, head }: Omit<VocabularyModel, "linearGroups">): readonly LinearLayer[] {
  const layer = (weight: string, name: string, isTable: boolean): LinearLayer[] => {
    const [outputs, inputs] = weights.get(weight) ?? [];
    return outputs === undefined || inputs === undefined ? [] : [{ name, inputs, outputs, ...(isTable ? { isTable } : {}) }];
  };
  const table = layer(embedding, moduleOf(embedding), true);
  return head === undefined ? table : [...table, ...layer(head, HEAD, false)];
}

/** All layers of a model that an adapter may sit at, grouped by input. */
export function adaptableGroups(model: VocabularyModel): readonly LinearGroup[] {
  return [...model.linearGroups, ...vocabularyLayers(model).map((layer) => [layer])];
}

/** The same of a method, as far as it is run beside them: not every one adapts the vocabulary's. */
export function runnableLayers(model: VocabularyModel, method: Method): readonly LinearLayer[] {
  return variantOf(method).lowRank === undefined ? model.linearGroups.flat() : adaptableGroups(model).flat();
}
