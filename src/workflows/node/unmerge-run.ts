import { basename, dirname, join, resolve } from "node:path";
import { InputError } from "../../errors.js";
import { makeFolder } from "../../files/node/make-folder.js";
import { isGgufFile } from "../../interchange/gguf/node/adapter-file.js";
import { BaseRestorer, checkRestorable, type OpenRecord, openBaseRecord } from "../../lora/restoring/node/restore-base.js";
import { readModel } from "../../models/index.js";
import { writeStreamAtomic } from "../../weights/node/atomic-file.js";
import { writeFolderAtomic } from "../../weights/node/atomic-folder.js";
import { checkRoom } from "../../weights/node/disk-room.js";
import { exists } from "../../weights/node/exists.js";
import type { UnmergeResult } from "../api.js";
import { inCode, parseOptions, unmergeSet } from "../options.js";
import { findAdapter, readPlacedAdapter } from "./adapter-place.js";
import { approximateBase } from "./approximate-base.js";
import { mergedPlace, recordFolder } from "./base-record.js";
import { fileSizes } from "./file-sizes.js";
import { describeWeights } from "./open-model.js";
import type { WorkerContext } from "./worker/context.js";

/** The work of `unmerge`, in its worker. */
export async function runUnmerge(options: unknown, context: WorkerContext): Promise<UnmergeResult> {
  const { merged, adapter: directory, out, approximate } = parseOptions(unmergeSet, options, inCode);
  const { signal } = context;
  const notes: string[] = [];
  const place = await mergedPlace(merged);
  const open = await openBaseRecord(recordFolder(place));
  if (open === undefined && !approximate) throw noRecord(merged, recordFolder(place));
  if (open !== undefined && approximate) notes.push(`${recordFolder(place)} restores the base exactly: --approximate was not needed.`);
  const found = await findAdapter(directory, context);
  const described = await describeWeights(readModel, place, { signal, onNotice: (note) => notes.push(note) });
  const adapter = await readPlacedAdapter(found, described.model);
  if (open === undefined) return await approximateBase({ described, adapter, out, name: merged, context, notes });
  await checkRestorable(open, described.checkpoint, adapter, { name: merged, adapterName: directory, signal });
  const files = await restore(open, new BaseRestorer(open, described.checkpoint, adapter), out, context);
  return { ...files, layers: adapter.layers.length, notes };
}

function noRecord(merged: string, folder: string): InputError {
  return new InputError(
    `${merged} cannot be unmerged exactly: ${folder} is not there, which lorikeet merge writes with --restorable (it goes by the merged model's name: rename and move both). Merging rounds W + ΔW, and what the rounding took is in no other place.\n` +
      "- If the base is still at hand, or can be downloaded, it is what you want: merging never changes it.\n" +
      "- --approximate subtracts the adapter's change, and prints how far from the base the weights are at most.",
  );
}

async function restore(
  { record }: OpenRecord,
  restorer: BaseRestorer,
  wanted: string,
  { signal, emit }: WorkerContext,
): Promise<Pick<UnmergeResult, "out" | "files" | "bytes">> {
  const { base, files } = record;
  const [first] = files;
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  const onBytes = (bytes: number) => {
    signal.throwIfAborted();
    done += bytes;
    emit({ task: "restoring the base", done, total, unit: "bytes" });
  };
  const room = (folder: string) => checkRoom(folder, "the base", total, "choose a folder on another disk");
  const out = resolve(wanted);
  if (isGgufFile(out)) {
    if (base.kind !== "gguf" || files.length !== 1 || first === undefined) {
      throw new InputError(
        `The base ${base.name} is ${base.kind === "gguf" ? `a GGUF of ${files.length} files` : "a folder of safetensors"}: give --out the name of a folder, without .gguf.`,
      );
    }
    if (await exists(out)) throw new InputError(`${out} exists already. Choose another name for the base, or remove it.`);
    await room(dirname(out));
    await writeStreamAtomic(out, (sink) => restorer.write(first, sink, onBytes));
    return { out, ...(await fileSizes(dirname(out), [basename(out)])) };
  }
  const folder = await writeFolderAtomic(wanted, "the base", async (unfinished) => {
    await room(dirname(unfinished));
    for (const file of files) {
      const path = join(unfinished, file.name);
      await makeFolder(dirname(path));
      await writeStreamAtomic(path, (sink) => restorer.write(file, sink, onBytes));
    }
  });
  return { out: folder, ...(await fileSizes(folder, files.map(({ name }) => name).sort())) };
}
