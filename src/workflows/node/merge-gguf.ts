import { rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { InputError } from "../../errors.js";
import { ggufParts } from "../../hub/gguf-parts.js";
import { isGgufFile } from "../../interchange/gguf/node/adapter-file.js";
import { writeGguf } from "../../interchange/gguf/node/write-gguf.js";
import { type GgufModelFile, ggufOfFolder, ggufOfGguf, type MergedModelSource } from "../../interchange/gguf/write-model.js";
import { ggufTokenizer } from "../../interchange/gguf/write-tokenizer.js";
import { modelfile } from "../../interchange/ollama.js";
import { checkFit } from "../../lora/fit.js";
import { prevailingType } from "../../lora/node/merge-checkpoint.js";
import { adaptableGroups } from "../../lora/tables.js";
import { trainedCheckpoint } from "../../lora/trained-checkpoint.js";
import { isLanguageModel } from "../../models/architecture.js";
import { readModel } from "../../models/index.js";
import { readFolderText } from "../../text/node/load.js";
import { writeFileAtomic } from "../../weights/node/atomic-file.js";
import { writeFolderAtomic } from "../../weights/node/atomic-folder.js";
import { checkRoom } from "../../weights/node/disk-room.js";
import { exists } from "../../weights/node/exists.js";
import { openRawGguf } from "../../weights/node/open-checkpoint.js";
import { MODEL_FILE, recordBase, recordFolder } from "./base-record.js";
import { fileSizes, filesOf } from "./file-sizes.js";
import { type MergedFiles, type MergeWork, weightTypes } from "./merge-work.js";
import { withText } from "./open-model.js";
import type { WorkerContext } from "./worker/context.js";

/** Writes a merged model as a GGUF: a file, or a folder with a Modelfile for Ollama. */
export async function mergeToGguf(work: MergeWork): Promise<MergedFiles> {
  const { described, adapter, settings, context, meter } = work;
  const { checkpoint, untied } = trainedCheckpoint(described.checkpoint, described.model, adapter);
  const config = untied ? { ...described.config, tie_word_embeddings: false } : described.config;
  const model = untied ? readModel(config) : described.model;
  if (!isLanguageModel(model)) {
    throw new InputError(
      `A model of architecture ${model.modelType} has no GGUF form here: it writes no text. Write a folder instead: --to folder.`,
    );
  }
  checkFit(adapter, adaptableGroups(described.model).flat(), described.name, { model: described.model });
  const wanted = weightTypes[(settings.dtype ?? "f16") as keyof typeof weightTypes];
  const type = wanted === "original" ? prevailingType(checkpoint.tensors.values()) : wanted;
  const file = watched(await contents({ model, checkpoint, adapter, type, meter }, { ...described, config }), context);
  const out = resolve(settings.out);
  if (isGgufFile(out)) {
    if (await exists(out)) throw new InputError(`${out} exists already. Choose another name for the model, or remove it.`);
    await write(out, file);
    const record = settings.restorable ? { record: await recordBeside(out, work) } : {};
    return { out, ...(await fileSizes(dirname(out), [basename(out)])), ...record, notes: file.notes };
  }
  let recordBytes = 0;
  const folder = await writeFolderAtomic(settings.out, "the merged model", async (unfinished) => {
    await write(join(unfinished, MODEL_FILE), file);
    const { codec } = await withText(described);
    const stops = codec.endOfTurnIds.map((id) => codec.decode([id]));
    await writeFileAtomic(join(unfinished, "Modelfile"), modelfile({ from: `./${MODEL_FILE}`, stops }));
    const model = join(unfinished, MODEL_FILE);
    if (settings.restorable) recordBytes = await recordBase(recordFolder(model), model, work);
  });
  const record = settings.restorable ? { record: { folder: recordFolder(folder), bytes: recordBytes } } : {};
  return { out: folder, ...(await fileSizes(folder, await filesOf(folder))), ...record, notes: file.notes };
}

/** Keeps what restores the base beside a merged file; without it that file is none that was asked for. */
async function recordBeside(out: string, work: MergeWork): Promise<{ folder: string; bytes: number }> {
  let bytes = 0;
  try {
    const folder = await writeFolderAtomic(recordFolder(out), "what restores the base", async (unfinished) => {
      bytes = await recordBase(unfinished, out, work);
    });
    return { folder, bytes };
  } catch (error) {
    await rm(out, { force: true });
    throw error;
  }
}

async function contents(source: MergedModelSource, { path, config, ggufMetadata }: MergeWork["described"]): Promise<GgufModelFile> {
  if (ggufMetadata !== undefined) return await ggufOfGguf(source, await openRawGguf(...ggufParts(path)));
  const { type } = source;
  if (type === "base") {
    throw new InputError(
      `${path} is a folder of safetensors: it has no types of a GGUF that the merged model could be written in. --dtype original keeps its own, and q8_0, q6_k, q5_k or q4_k make the file smaller.`,
    );
  }
  const tokenizer = ggufTokenizer(await readFolderText(path), source.model.dimensions.vocabulary);
  return ggufOfFolder({ ...source, type }, config, tokenizer, basename(path));
}

async function write(path: string, { entries, tensors, bytes }: GgufModelFile): Promise<void> {
  await checkRoom(dirname(path), "the merged model", bytes, "choose a folder on another disk");
  await writeGguf(path, entries, tensors);
}

/** The same file, telling what has been written of it. */
function watched(file: GgufModelFile, { signal, emit }: WorkerContext): GgufModelFile {
  let done = 0;
  const tensors = file.tensors.map((tensor) => ({
    ...tensor,
    data: async function* () {
      for await (const piece of tensor.data()) {
        signal.throwIfAborted();
        yield piece;
        done += piece.byteLength;
        emit({ task: "merging", done, total: file.bytes, unit: "bytes" });
      }
    },
  }));
  return { ...file, tensors };
}
