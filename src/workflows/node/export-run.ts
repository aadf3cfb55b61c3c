import { readdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { InputError } from "../../errors.js";
import { isGgufFile } from "../../interchange/gguf/node/adapter-file.js";
import { writeGguf } from "../../interchange/gguf/node/write-gguf.js";
import { type GgufAdapter, ggufAdapter } from "../../interchange/gguf/write-adapter.js";
import { writeMlxFolder } from "../../interchange/mlx/node/adapter-folder.js";
import { mlxAdapter } from "../../interchange/mlx/write-adapter.js";
import { modelfile } from "../../interchange/ollama.js";
import type { Adapter } from "../../lora/adapter.js";
import { checkFit } from "../../lora/fit.js";
import { adaptableGroups } from "../../lora/tables.js";
import { readLanguageModel } from "../../models/index.js";
import { writeFileAtomic } from "../../weights/node/atomic-file.js";
import { writeFolderAtomic } from "../../weights/node/atomic-folder.js";
import { exists } from "../../weights/node/exists.js";
import type { ExportResult } from "../api.js";
import { type ExportSettings, exportSet, inCode, parseOptions } from "../options.js";
import { findAdapter, readPlacedAdapter } from "./adapter-place.js";
import { fileSizes, type WrittenFiles } from "./file-sizes.js";
import { type DescribedWeights, describeWeights, withText } from "./open-model.js";
import type { WorkerContext } from "./worker/context.js";

/** The adapter's name in a folder. */
const ADAPTER = "adapter.gguf";

/** The work of `export`, in its worker. */
export async function runExport(options: unknown, { signal, emit }: WorkerContext): Promise<ExportResult> {
  const { model, adapter: directory, to, out } = parseOptions(exportSet, options, inCode);
  const place = await findAdapter(directory, { signal, emit });
  const notes: string[] = [];
  const described = await describeWeights(readLanguageModel, model, { signal, onProgress: emit, onNotice: (note) => notes.push(note) });
  const adapter = await readPlacedAdapter(place, described.model);
  checkFit(adapter, adaptableGroups(described.model).flat(), model, { model: described.model });
  signal.throwIfAborted();
  const written = await writers[to]({ adapter, described, model, out });
  return { ...written, layers: adapter.layers.length, notes };
}

interface Writing {
  readonly adapter: Adapter;
  readonly described: DescribedWeights;
  /** Its name, as it was given. */
  readonly model: string;
  readonly out: string;
}

/** How each form of `--to` is written. */
const writers: Readonly<Record<ExportSettings["to"], (writing: Writing) => Promise<WrittenFiles>>> = {
  gguf: async ({ adapter, described, model, out }) => {
    const file = ggufAdapter(adapter, described.model, model);
    return isGgufFile(out) ? writeFile(resolve(out), file) : writeFolder(out, file, described);
  },
  mlx: async ({ adapter, described, out: folder }) => {
    const form = mlxAdapter(adapter, described.model);
    const out = await writeFolderAtomic(folder, "the adapter", (unfinished) => writeMlxFolder(unfinished, form));
    return { out, ...(await fileSizes(out, (await readdir(out)).sort())) };
  },
};

async function writeFile(out: string, { entries, tensors }: GgufAdapter): Promise<WrittenFiles> {
  if (await exists(out)) throw new InputError(`${out} exists already. Choose another name for the adapter, or remove it.`);
  await writeGguf(out, entries, tensors);
  return { out, ...(await fileSizes(dirname(out), [basename(out)])) };
}

async function writeFolder(folder: string, { entries, tensors }: GgufAdapter, described: DescribedWeights): Promise<WrittenFiles> {
  const { path, codec } = await withText(described);
  const out = await writeFolderAtomic(folder, "the adapter", async (unfinished) => {
    await writeGguf(join(unfinished, ADAPTER), entries, tensors);
    const stops = codec.endOfTurnIds.map((id) => codec.decode([id]));
    await writeFileAtomic(join(unfinished, "Modelfile"), modelfile({ from: resolve(path), adapter: `./${ADAPTER}`, stops }));
  });
  return { out, ...(await fileSizes(out, (await readdir(out)).sort())) };
}
