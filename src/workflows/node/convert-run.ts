import { InputError } from "../../errors.js";
import { isGgufFile } from "../../interchange/gguf/node/adapter-file.js";
import { readLoralibCheckpoint } from "../../interchange/loralib/read-checkpoint.js";
import type { Adapter } from "../../lora/adapter.js";
import { convertByStart, convertByWeights } from "../../lora/conversion.js";
import { checkFit } from "../../lora/fit.js";
import { readAdapterFolder, readUnconvertedFolder } from "../../lora/node/adapter-folder.js";
import { adaptableGroups } from "../../lora/tables.js";
import { openTorchFile } from "../../weights/node/open-torch-file.js";
import type { ConvertResult } from "../api.js";
import { convertSet, inCode, parseOptions } from "../options.js";
import { findAdapter } from "./adapter-place.js";
import { describeTheirs, weightsFor, writeDerived } from "./derived-adapter.js";
import type { WorkerContext } from "./worker/context.js";

/** The work of `convert`, in its worker. */
export async function runConvert(options: unknown, context: WorkerContext): Promise<ConvertResult> {
  const { adapter: directory, start, model, out, alpha, enableLora } = parseOptions(convertSet, options, inCode);
  const notes: string[] = [];
  const finish = async (adapter: Adapter): Promise<ConvertResult> => {
    context.signal.throwIfAborted();
    return { ...(await writeDerived(out, adapter)), layers: adapter.layers.map(({ name, rank }) => ({ name, rank })), notes };
  };
  if (/\.(bin|pt|pth|ckpt)$/i.test(directory)) return finish(await readLoralib(directory, { model, alpha, enableLora, notes }, context));
  if (alpha !== undefined)
    throw new InputError(`--alpha belongs to a checkpoint of loralib (.pt, .bin, .pth, .ckpt); ${directory} is none, and knows its own.`);
  const place = await findAdapter(directory, context);
  if (isGgufFile(place)) throw new InputError(`${place} is a GGUF adapter, which is always a plain LoRA: there is nothing to convert.`);
  let adapter: Adapter;
  if (start !== undefined) {
    adapter = convertByStart(await readUnconvertedFolder(place), await readUnconvertedFolder(await findAdapter(start, context)), directory);
  } else {
    const read = await readAdapterFolder(place);
    const described = await describeTheirs(model, context, (note) => notes.push(note));
    const weightOf = weightsFor(read, described);
    if (weightOf === undefined) throw new Error("the options ask for a start or a model");
    adapter = await convertByWeights(read, directory, weightOf);
  }
  return finish(adapter);
}

interface LoralibOptions {
  readonly model: string | undefined;
  readonly alpha: number | undefined;
  readonly enableLora: string | undefined;
  readonly notes: string[];
}

/** The adapter in a file that loralib's user saved, for the model that it was trained for. */
async function readLoralib(file: string, { model, alpha, enableLora, notes }: LoralibOptions, context: WorkerContext): Promise<Adapter> {
  const described = await describeTheirs(model, context, (note) => notes.push(note));
  if (described === undefined || alpha === undefined)
    throw new InputError(
      `${file} is read as a checkpoint of loralib, which holds neither its model nor its alpha: give --model, and --alpha with the lora_alpha that its layers were made with.`,
    );
  const adapter = await readLoralibCheckpoint(await openTorchFile(file), described.model, {
    file,
    alpha,
    enable: enableLora === undefined ? undefined : partsGiven(enableLora),
    baseModel: described.name,
  });
  checkFit(adapter, adaptableGroups(described.model).flat(), described.name, { model: described.model });
  return adapter;
}

/** `enable_lora` as it was given to lora.MergedLinear. */
function partsGiven(list: string): boolean[] {
  if (!/^(true|false)(,(true|false))*$/i.test(list))
    throw new InputError(`--enable-lora: expected true or false for each part, such as true,false,true; got ${JSON.stringify(list)}`);
  return list
    .toLowerCase()
    .split(",")
    .map((word) => word === "true");
}
