import { createRandom } from "../../data/random.js";
import { InputError } from "../../errors.js";
import { GenerationProgram } from "../../generation/generation-program.js";
import { GenerationSession } from "../../generation/generator.js";
import { TextStream } from "../../generation/text-stream.js";
import { parameterCount } from "../../lora/adapter.js";
import type { InferenceAdapter } from "../../lora/inference.js";
import { nodeEngine } from "../../runtime/node/engine.js";
import type { GenerateRequest, LanguageModel, LoadedAdapter } from "../api.js";
import { type LoadOptions, loadModelSet } from "../options/load-model.js";
import { inCode, parseOptions, samplingSet } from "../options.js";
import { nameAdapter } from "./adapter-name.js";
import { type PlacedAdapter, readFittingAdapter } from "./adapter-place.js";
import { appliedTo } from "./applied-adapter.js";
import { askingPrecision, targetOf } from "./device.js";
import { openMerged, removeMerged } from "./merged-model.js";
import type { Device } from "./model-weights.js";
import { type DescribedModel, describeModel, mapModel, type OpenedModel } from "./open-model.js";
import { promptIds } from "./prompt-ids.js";
import { breathe, type WorkerContext } from "./worker/context.js";

/** What a loaded model tells the thread that asked for it. */
export type LoadedModel = Omit<LanguageModel, "name" | "dispose">;

/** `scratch` is the folder for merged weights; who made it removes it after the worker's end. */
export type HostOptions = LoadOptions & { readonly scratch?: string | undefined };

/** A request with its adapter by folder, as it crosses to the worker. */
export type HostedRequest = Omit<GenerateRequest, "adapter" | "signal"> & { readonly adapter: string | null };

/** A model in its worker: compiled once for each adapter that is used, each with a conversation of its own. */
interface Host {
  readonly opened: OpenedModel;
  /** Whether the one adapter is folded into the weights, so that there is no model without it. */
  readonly merged: boolean;
  readonly adapters: Map<string, LoadedAdapter>;
  /** By the adapter's folder; null is the model as it is. */
  readonly sessions: Map<string | null, GenerationSession>;
}

let host: Host | undefined;

/** Loads the worker's model; a worker holds one. Adapters are checked before any weight is touched. */
export async function loadHostedModel(name: string, { scratch, ...options }: HostOptions, context: WorkerContext): Promise<LoadedModel> {
  const { adapters: directories = [], merged, device, threads, precision } = parseOptions(loadModelSet, options, inCode);
  const { signal, emit } = context;
  const notes: string[] = [];
  const described = await describeModel(name, { signal, onProgress: emit, onNotice: (note) => notes.push(note) });
  const placed: PlacedAdapter[] = [];
  for (const directory of directories) placed.push(await readFittingAdapter(directory, described));
  const on: Device = {
    target: targetOf(device),
    threads,
    precision: await askingPrecision({ precision, device, threads }),
    answering: true,
  };
  host = merged ? await hostMerged(described, placed, on, scratch, context) : await hostBeside(described, placed, on, context);
  return {
    architecture: described.model.modelType,
    parameters: described.parameters,
    contextLength: described.model.dimensions.maxPositions,
    adapters: [...host.adapters.values()],
    notes,
  };
}

/** Loads an adapter beside the worker's model. @throws InputError where it does not fit. */
export async function loadHostedAdapter(directory: string): Promise<LoadedAdapter> {
  const target = current();
  if (target.merged)
    throw new InputError("An adapter is folded into this model, so no other can be loaded beside it. Load the model without merged.");
  return addAdapter(target, await readFittingAdapter(directory, target.opened));
}

/** Answers a request; the text goes out piece by piece as events. */
export async function generateHosted(request: HostedRequest, { signal, emit }: WorkerContext): Promise<void> {
  const { prompt: _prompt, messages: _messages, tools: _tools, adapter, ...sampling } = request;
  const { opened } = current();
  const { codec } = opened;
  const settings = parseOptions(samplingSet, sampling, inCode);
  const session = await sessionOf(current(), adapter);
  const ids = promptIds(codec, request);
  const { maxPositions } = opened.model.dimensions;
  if (ids.length >= maxPositions)
    throw new InputError(`The prompt has ${ids.length} tokens; this model takes ${maxPositions - 1} at the most. Shorten it.`);

  const stream = new TextStream((tokens) => codec.decode(tokens, { skipSpecial: true }), settings.stop ?? []);
  const { temperature, topK = 0, topP = 1, repetitionPenalty } = settings;
  const tokens = session.generate({
    prompt: ids,
    maxNewTokens: settings.maxNewTokens,
    endIds: new Set(codec.endOfTurnIds),
    sampling: { temperature, topK, topP, repetitionPenalty },
    random: createRandom(settings.seed, "sampling"),
    signal,
  });
  for await (const id of tokens) {
    const piece = stream.push(id);
    if (piece !== "") emit(piece);
    if (stream.stopped) break;
    await breathe();
  }
  const rest = stream.end();
  if (rest !== "") emit(rest);
}

async function hostBeside(
  described: DescribedModel,
  placed: readonly PlacedAdapter[],
  on: Device,
  { signal, emit }: WorkerContext,
): Promise<Host> {
  const opened = await mapModel(described, on, { signal, onProgress: emit });
  const target: Host = { opened, merged: false, adapters: new Map(), sessions: new Map() };
  for (const adapter of placed) await addAdapter(target, adapter);
  return target;
}

async function hostMerged(
  described: DescribedModel,
  [placed]: readonly PlacedAdapter[],
  on: Device,
  scratch: string | undefined,
  context: WorkerContext,
): Promise<Host> {
  if (placed === undefined || scratch === undefined) throw new Error("merged weights need an adapter and a folder");
  const opened = await openMerged(described, placed.adapter, on, scratch, context);
  const session = await compileSession(opened, undefined);
  await removeMerged(scratch);
  return {
    opened,
    merged: true,
    adapters: new Map([[placed.folder, describeAdapter(placed, [])]]),
    sessions: new Map([[placed.folder, session]]),
  };
}

async function addAdapter({ opened, adapters, sessions }: Host, placed: PlacedAdapter): Promise<LoadedAdapter> {
  const known = adapters.get(placed.folder);
  if (known !== undefined) return known;
  sessions.set(placed.folder, await compileSession(opened, await appliedTo(opened, placed.adapter)));
  const taken = [...adapters.values()].map(({ name }) => name);
  const loaded = describeAdapter(placed, taken);
  adapters.set(placed.folder, loaded);
  return loaded;
}

function describeAdapter({ folder, adapter }: PlacedAdapter, taken: readonly string[]): LoadedAdapter {
  return {
    name: nameAdapter(folder, taken),
    directory: folder,
    rank: adapter.config.rank,
    layers: adapter.layers.length,
    parameters: parameterCount(adapter),
  };
}

async function sessionOf({ opened, merged, sessions }: Host, adapter: string | null): Promise<GenerationSession> {
  const known = sessions.get(adapter);
  if (known !== undefined) return known;
  if (adapter !== null) throw new InputError(`The adapter ${adapter} is not loaded beside this model. Load it with loadAdapter first.`);
  if (merged) throw new InputError("An adapter is folded into this model, so it cannot answer without it. Load the model without merged.");
  const compiled = await compileSession(opened, undefined);
  sessions.set(null, compiled);
  return compiled;
}

async function compileSession({ model, compile }: OpenedModel, adapter: InferenceAdapter | undefined): Promise<GenerationSession> {
  const { maxPositions } = model.dimensions;
  return new GenerationSession(await GenerationProgram.compile(nodeEngine, { model, adapter, maxPositions }, compile));
}

function current(): Host {
  if (host === undefined) throw new Error("the worker has no model yet");
  return host;
}
