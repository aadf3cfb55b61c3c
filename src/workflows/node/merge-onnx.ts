import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { InputError } from "../../errors.js";
import { writeOnnxFolder } from "../../interchange/onnx/node/write-folder.js";
import type { OnnxWeightType } from "../../interchange/onnx/weight-forms.js";
import { checkFit } from "../../lora/fit.js";
import { adaptableGroups } from "../../lora/tables.js";
import { trainedCheckpoint } from "../../lora/trained-checkpoint.js";
import { isLanguageModel } from "../../models/architecture.js";
import { readLanguageModel } from "../../models/index.js";
import { fileSizes, type WrittenFiles } from "./file-sizes.js";
import type { MergeWork } from "./merge-work.js";
import { onnxCompanions } from "./onnx-companions.js";
import { withText } from "./open-model.js";

/** Writes a merged model as a folder for `@huggingface/transformers`. */
export async function mergeToOnnx({ described: weights, adapter, settings, context, meter }: MergeWork): Promise<WrittenFiles> {
  const { model, config, name } = weights;
  const type = (settings.dtype ?? "q8") as OnnxWeightType;
  if (!isLanguageModel(model)) {
    throw new InputError(
      `A model of architecture ${model.modelType} has no ONNX form here: it writes no text. Write a folder instead: --to folder.`,
    );
  }
  checkFit(adapter, adaptableGroups(model).flat(), name, { model });
  const described = await withText({ ...weights, model });
  const { checkpoint, untied } = trainedCheckpoint(described.checkpoint, model, adapter);
  const merged = untied ? readLanguageModel({ ...config, tie_word_embeddings: false }) : model;
  const out = await writeOnnxFolder({
    model: merged,
    checkpoint,
    adapter,
    meter,
    untied,
    config,
    type,
    companions: await onnxCompanions(described),
    out: settings.out,
    maxFileBytes: settings.maxShardSize,
    onProgress: ({ done, total }) => context.emit({ task: "merging", done, total, unit: "bytes" }),
    signal: context.signal,
  });
  const files = (await readdir(out, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const names = files.map(({ parentPath, name: file }) => relative(out, join(parentPath, file))).sort();
  return { out, ...(await fileSizes(out, names)) };
}
