import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InputError } from "../../../errors.js";
import { type Companion, copyCompanion } from "../../../lora/node/merge-checkpoint.js";
import { writeFileAtomic } from "../../../weights/node/atomic-file.js";
import { writeFolderAtomic } from "../../../weights/node/atomic-folder.js";
import { checkRoom } from "../../../weights/node/disk-room.js";
import { decoderModel } from "../decoder-model.js";
import { folderConfig, onnxFileName } from "../folder-config.js";
import { type OnnxWeightSource, type OnnxWeightType, weightForms } from "../weight-forms.js";
import { bytesOfParts, writeOnnx } from "./write-onnx.js";

export interface OnnxFolderRequest extends OnnxWeightSource {
  readonly type: OnnxWeightType;
  /** The base's `config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The base's head was its table of embeddings, and is a matrix of its own now. */
  readonly untied: boolean;
  /** What the tokenizer and generation need; a `config.json` among them is left out. */
  readonly companions: readonly Companion[];
  /** The folder to make. It must not exist, or be empty. */
  readonly out: string;
  /** See `OnnxFileOptions`. */
  readonly inlineBytes?: number | undefined;
  readonly maxFileBytes: number;
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** More files with weights than this transformers.js refuses.                            transformers.js: src/utils/hub/constants.js */
const MOST_FILES = 100;

/** Writes a merged model as a folder that `@huggingface/transformers` loads. It appears whole or not at all. Returns its absolute path. */
export async function writeOnnxFolder(request: OnnxFolderRequest): Promise<string> {
  const { model, type, config, untied, companions, out, onProgress, signal } = request;
  const forms = weightForms(request, type);
  const total = bytesOfParts(forms);
  if (total / request.maxFileBytes > MOST_FILES) {
    throw new InputError(
      `The weights would be in more than ${MOST_FILES} files, which transformers.js refuses. Give --max-shard-size a larger size.`,
    );
  }
  let done = 0;
  const onBytes = (bytes: number) => {
    signal?.throwIfAborted();
    done += bytes;
    onProgress?.({ done, total });
  };
  return writeFolderAtomic(out, "the merged model", async (unfinished) => {
    await checkRoom(dirname(unfinished), "the merged model", total, "choose a folder on another disk");
    await mkdir(join(unfinished, "onnx"));
    // The engine has a product of whole numbers on the CPU alone, in Node as in a browser.
    const target = type === "q8" ? "cpu" : "webgpu";
    const build = (weights: Parameters<typeof decoderModel>[1]) => decoderModel(model, weights, target);
    const dataFiles = await writeOnnx(join(unfinished, "onnx", onnxFileName(type)), forms, build, { ...request, onBytes });
    for (const companion of companions) if (companion.name !== "config.json") await copyCompanion(unfinished, companion);
    const text = JSON.stringify(folderConfig(config, model, { type, dataFiles, untied }), null, 2);
    await writeFileAtomic(join(unfinished, "config.json"), `${text}\n`);
  });
}
