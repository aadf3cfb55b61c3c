import { join } from "node:path";
import { InputError } from "../../errors.js";
import { readRequiredText } from "../../files/node/read-text-file.js";
import { parseJsonText } from "../../files/parse-json.js";
import { ggufParts } from "../../hub/gguf-parts.js";
import { type ResolveOptions, resolveModel } from "../../hub/node/resolve-model.js";
import type { LanguageModelGraph, ModelGraph } from "../../models/architecture.js";
import { readLanguageModel } from "../../models/index.js";
import { modelCheckpoint } from "../../models/model-checkpoint.js";
import type { CompileOptions } from "../../runtime/program.js";
import { textFromGguf } from "../../text/from-gguf.js";
import { loadTextFromFolder } from "../../text/node/load.js";
import { withinTable } from "../../text/within-table.js";
import type { Checkpoint } from "../../weights/checkpoint.js";
import { openGguf, openSafetensorsFolder } from "../../weights/node/open-checkpoint.js";
import type { Precision } from "../options.js";
import type { DescribedModel, DescribedWeights, OpenOptions } from "./described-model.js";
import { compileWithWeights, type Device } from "./model-weights.js";

export type { DescribedModel, DescribedWeights, OpenOptions } from "./described-model.js";

/** A model whose weights the engine can map. */
export interface OpenedModel<Model extends ModelGraph = LanguageModelGraph> extends DescribedModel<Model> {
  readonly precision: Precision;
  readonly compile: CompileOptions;
}

/** Finds, downloads where needed, and reads the configuration, tokenizer and list of weights of a language model. */
export async function describeModel(name: string, options: OpenOptions = {}): Promise<DescribedModel> {
  return describeModelAs(readLanguageModel, name, options);
}

/** The same of a model that `read` makes of its configuration. */
export async function describeModelAs<Model extends ModelGraph>(
  read: (config: Readonly<Record<string, unknown>>) => Model,
  name: string,
  options: OpenOptions = {},
): Promise<DescribedModel<Model>> {
  return withText(await describeWeights(read, name, options));
}

/** The same for what reads no text: it needs no tokenizer. */
export async function describeWeights<Model extends ModelGraph>(
  read: (config: Readonly<Record<string, unknown>>) => Model,
  name: string,
  { signal, onProgress, onNotice }: OpenOptions = {},
): Promise<DescribedWeights<Model>> {
  const files = await resolveModel(name, resolveOptions({ signal, onProgress, onNotice }));
  const readFiles = files.kind === "gguf" ? readGgufModel : readFolderModel;
  const { config, stored, ggufMetadata } = await readFiles(files.path);
  const model = read(config);
  const checkpoint = files.kind === "gguf" ? stored : modelCheckpoint(stored, model);
  checkWeights(name, model, checkpoint);
  const unread = unreadWeights(model, checkpoint);
  if (unread.length > 0) onNotice?.(unreadNote(name, unread));
  return { name, path: files.path, config, model, checkpoint, ggufMetadata, parameters: countParameters(model) };
}

/** Adds how a model reads and writes text. */
export async function withText<Model extends ModelGraph>(described: DescribedWeights<Model>): Promise<DescribedModel<Model>> {
  const { name, path, model, ggufMetadata } = described;
  const codec = ggufMetadata === undefined ? await loadTextFromFolder(path) : textFromGguf(ggufMetadata, path);
  return { ...described, codec: withinTable(codec, model.dimensions.vocabulary, name) };
}

/** What finding and downloading a model is told of its surroundings. */
export function resolveOptions({ signal, onProgress, onNotice }: OpenOptions): ResolveOptions {
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(onNotice === undefined ? {} : { onNotice }),
    onProgress: ({ file, received, total }) =>
      onProgress?.({ task: `downloading ${file}`, done: received, ...(total === undefined ? {} : { total }), unit: "bytes" }),
  };
}

/** A described model with its weights where the engine maps them; converts them into the cache where needed. */
export async function openModel(name: string, device: Device, options: OpenOptions = {}): Promise<OpenedModel> {
  return mapModel(await describeModel(name, options), device, options);
}

/** The second half of opening a model, after what a description alone can refuse. */
export async function mapModel<Model extends ModelGraph>(
  described: DescribedModel<Model>,
  device: Device,
  options: OpenOptions = {},
): Promise<OpenedModel<Model>> {
  return { ...described, precision: device.precision ?? "fp32", compile: await compileWithWeights(described, device, options) };
}

type Read = Pick<DescribedWeights, "config" | "ggufMetadata"> & { readonly stored: Checkpoint };

async function readGgufModel(path: string): Promise<Read> {
  const { config, metadata, checkpoint } = await openGguf(...ggufParts(path));
  return { config, stored: checkpoint, ggufMetadata: metadata };
}

async function readFolderModel(path: string): Promise<Read> {
  const file = join(path, "config.json");
  const config = parseConfig(file, await readRequiredText(file));
  return { config, stored: await openSafetensorsFolder(path), ggufMetadata: undefined };
}

function parseConfig(file: string, text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = parseJsonText(text);
  } catch (cause) {
    throw new InputError(`${file} is not JSON. Fetch the model again.`, { cause });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new InputError(`${file} must hold a JSON object. Fetch the model again.`);
}

/** Every weight must be there, in its shape; all that is wrong is said at once. */
function checkWeights(name: string, model: ModelGraph, checkpoint: Checkpoint): void {
  const problems: string[] = [];
  for (const [weight, shape] of model.weights) {
    const found = checkpoint.tensors.get(weight);
    if (found === undefined)
      problems.push(`${weight} is missing${checkpoint.unreadable.has(weight) ? " (it is stored in a type that is not read)" : ""}`);
    else if (found.shape.join() !== shape.join()) problems.push(`${weight} is [${found.shape.join(", ")}], not [${shape.join(", ")}]`);
  }
  if (problems.length === 0) return;
  const isIncomplete = [...model.weights.keys()].some((weight) => !checkpoint.tensors.has(weight));
  const advice = isIncomplete ? ["Take the whole checkpoint: one that was saved as a bare AutoModel lacks the parts of its head."] : [];
  const more = problems.length > 10 ? [`… and ${problems.length - 10} more`] : [];
  throw new InputError([`${name}: the weights do not fit the configuration:`, ...problems.slice(0, 10), ...more, ...advice].join("\n  "));
}

/** What stands before the number of a block: `model.layers`. */
const stemOf = (weight: string): string | undefined => /^(.*?)\.\d+\./.exec(weight)?.[1];

/** Weights that lie in the blocks of the file, or in more of them, and that the configuration says nothing of. */
function unreadWeights({ weights }: ModelGraph, { tensors, unreadable }: Checkpoint): string[] {
  const stems = new Set([...weights.keys()].map(stemOf));
  const stored = [...tensors.keys(), ...unreadable.keys()];
  return stored.filter(
    (name) => !weights.has(name) && stemOf(name) !== undefined && stems.has(stemOf(name)) && /\.(weight|bias)$/.test(name),
  );
}

const unreadNote = (name: string, [first, ...others]: readonly string[]): string =>
  `${name}: ${others.length + 1} weights of its layers are not read, because config.json does not speak of them, such as ${first}. ` +
  "Do the two belong together?";

function countParameters(model: ModelGraph): number {
  let count = 0;
  for (const shape of model.weights.values()) count += shape.reduce((product, extent) => product * extent, 1);
  return count;
}
