import { InputError } from "../../errors.js";
import { isGgufFile } from "../../interchange/gguf/node/adapter-file.js";
import type { Adapter } from "../../lora/adapter.js";
import { convertByStart, convertByWeights } from "../../lora/conversion.js";
import { readAdapterFolder, readUnconvertedFolder } from "../../lora/node/adapter-folder.js";
import type { ConvertResult } from "../api.js";
import { convertSet, inCode, parseOptions } from "../options.js";
import { findAdapter } from "./adapter-place.js";
import { describeTheirs, weightsFor, writeDerived } from "./derived-adapter.js";
import type { WorkerContext } from "./worker/context.js";

/** The work of `convert`, in its worker. */
export async function runConvert(options: unknown, context: WorkerContext): Promise<ConvertResult> {
  const { adapter: directory, start, model, out } = parseOptions(convertSet, options, inCode);
  const notes: string[] = [];
  const place = await findAdapter(directory);
  if (isGgufFile(place)) throw new InputError(`${place} is a GGUF adapter, which is always a plain LoRA: there is nothing to convert.`);
  let adapter: Adapter;
  if (start !== undefined) {
    adapter = convertByStart(await readUnconvertedFolder(place), await readUnconvertedFolder(await findAdapter(start)), directory);
  } else {
    const read = await readAdapterFolder(place);
    const described = await describeTheirs(model, context, (note) => notes.push(note));
    const weightOf = weightsFor(read, described);
    if (weightOf === undefined) throw new Error("the options ask for a start or a model");
    adapter = await convertByWeights(read, directory, weightOf);
  }
  context.signal.throwIfAborted();
  return { ...(await writeDerived(out, adapter)), layers: adapter.layers.map(({ name, rank }) => ({ name, rank })), notes };
}
