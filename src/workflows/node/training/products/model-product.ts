import { rename, rm } from "node:fs/promises";
import { InputError } from "../../../../errors.js";
import { type AdapterConfig, adapterFromVectors } from "../../../../lora/adapter.js";
import { buildLayout } from "../../../../lora/layout.js";
import { mergeCheckpoint } from "../../../../lora/node/merge-checkpoint.js";
import { everyWeight } from "../../../../lora/whole-tensors.js";
import { companionsOf } from "../../companions.js";
import type { RunProduct } from "../run-task.js";

/** An adapter without layers: all that it has is trained whole. */
const config: Omit<AdapterConfig, "baseModel" | "taskType" | "trainedModules"> = {
  method: "lora",
  rank: 1,
  alpha: 1,
  dropout: 0,
  rankStabilised: false,
  rankPattern: {},
  alphaPattern: {},
  targetModules: [],
  excludeModules: undefined,
  blocks: undefined,
  initialisation: "peft",
  isConv1D: false,
  bias: "none",
  tiesWeights: true,
};

/**
 * The whole model, every weight of which is trained: the baseline that LoRA is compared with (Hu et al. 2021, section 5.1, "Fine-Tuning").
 * It is large, so that it is written once, when the run has ended; until then the checkpoint holds it.
 */
export const modelProduct: RunProduct = {
  kind: "model",
  layout(model, head) {
    if (head.length === 0) return buildLayout([], everyWeight(model));
    throw new InputError("--method full trains a language model (--task sft). For labels, train an adapter: it trains the head whole too.");
  },
  shaping: () => undefined,
  ownBase: async (described) => described,
  lookAtData: async () => undefined,
  config: (_layout, _model, baseModel, task) => ({ ...config, baseModel, ...task }),
  place: ({ model }) => model,
  keep: async () => {},
  async finish({ prepared, folder, state: { trainables, best }, frozen }, onProgress) {
    const { opened, layout } = prepared;
    const next = `${folder.model}.next`;
    await rm(next, { recursive: true, force: true });
    await mergeCheckpoint({
      checkpoint: opened.checkpoint,
      model: opened.model,
      adapter: adapterFromVectors(prepared.config, layout, { trainables: best ?? trainables, frozen }),
      out: next,
      modelName: opened.name,
      companions: await companionsOf(opened),
      onProgress: ({ done, total }) => onProgress({ task: "writing the model", done, total, unit: "bytes" }),
    });
    await rm(folder.model, { recursive: true, force: true }); // of a run that was interrupted
    await rename(next, folder.model);
  },
};
