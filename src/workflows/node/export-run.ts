import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { InputError } from "../../errors.js";
import { isGgufFile } from "../../interchange/gguf/node/adapter-file.js";
import { writeGguf } from "../../interchange/gguf/node/write-gguf.js";
import { type GgufAdapter, ggufAdapter } from "../../interchange/gguf/write-adapter.js";
import { modelfile } from "../../interchange/ollama.js";
import { checkFit } from "../../lora/fit.js";
import { linearLayersOf } from "../../lora/node/merge-checkpoint.js";
import { writeFileAtomic } from "../../weights/node/atomic-file.js";
import { writeFolderAtomic } from "../../weights/node/atomic-folder.js";
import { exists } from "../../weights/node/exists.js";
import type { ExportResult } from "../api.js";
import { exportSet, inCode, parseOptions } from "../options.js";
import { findAdapter, readPlacedAdapter } from "./adapter-place.js";
import { type DescribedModel, describeModel } from "./open-model.js";
import type { WorkerContext } from "./worker/context.js";

/** The adapter's name in a folder. */
const ADAPTER = "adapter.gguf";

/** The work of `export`, in its worker. */
export async function runExport(options: unknown, { signal, emit }: WorkerContext): Promise<ExportResult> {
  const { model, adapter: directory, out } = parseOptions(exportSet, options, inCode);
  const place = await findAdapter(directory);
  const notes: string[] = [];
  const described = await describeModel(model, { signal, onProgress: emit, onNotice: (note) => notes.push(note) });
  const adapter = await readPlacedAdapter(place, described.model);
  checkFit(adapter, linearLayersOf(described.model), model);
  const file = ggufAdapter(adapter, described.model, model);
  signal.throwIfAborted();
  const written = isGgufFile(out) ? await writeFile(resolve(out), file) : await writeFolder(out, file, described);
  return { ...written, layers: adapter.layers.length, notes };
}

type Written = Pick<ExportResult, "out" | "files" | "bytes">;

async function writeFile(out: string, { entries, tensors }: GgufAdapter): Promise<Written> {
  if (await exists(out)) throw new InputError(`${out} exists already. Choose another name for the adapter, or remove it.`);
  await writeGguf(out, entries, tensors);
  return { out, ...(await sizesOf(dirname(out), [basename(out)])) };
}

async function writeFolder(folder: string, { entries, tensors }: GgufAdapter, { path, codec }: DescribedModel): Promise<Written> {
  const out = await writeFolderAtomic(folder, "the adapter", async (unfinished) => {
    await writeGguf(join(unfinished, ADAPTER), entries, tensors);
    const stops = codec.endOfTurnIds.map((id) => codec.decode([id]));
    await writeFileAtomic(join(unfinished, "Modelfile"), modelfile({ from: resolve(path), adapter: `./${ADAPTER}`, stops }));
  });
  return { out, ...(await sizesOf(out, (await readdir(out)).sort())) };
}

async function sizesOf(folder: string, files: readonly string[]): Promise<Pick<Written, "files" | "bytes">> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(folder, file))).size));
  return { files, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}
