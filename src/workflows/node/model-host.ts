import { createRandom, type Random } from "../../data/random.js";
import { InputError } from "../../errors.js";
import { answerBatch } from "../../generation/answer-batch.js";
import type { RowRequest } from "../../generation/running-batch.js";
import type { SamplingSettings } from "../../generation/sampling.js";
import { TextStream } from "../../generation/text-stream.js";
import type { BatchPiece, GenerateRequest, LanguageModel, LoadedAdapter } from "../api.js";
import { type LoadOptions, loadModelSet } from "../options/load-model.js";
import { inCode, parseOptions, samplingSet } from "../options.js";
import { type DownloadContext, type PlacedAdapter, readFittingAdapter } from "./adapter-place.js";
import { askingPrecision, targetOf } from "./device.js";
import { describeAdapter, folderOf, type HostedAdapter, HostedAdapters, serve } from "./hosted-adapters.js";
import { HostedPrograms } from "./hosted-programs.js";
import { openMerged, removeMerged } from "./merged-model.js";
import type { Device } from "./model-weights.js";
import { type DescribedModel, describeModel, mapModel, type OpenedModel } from "./open-model.js";
import { promptIds } from "./prompt-ids.js";
import { breathe, type WorkerContext } from "./worker/context.js";

/** What a loaded model tells the thread that asked for it. */
export type LoadedModel = Omit<LanguageModel, "name" | "dispose">;

/** `scratch` is the folder for merged weights; who made it removes it after the worker's end. */
export type HostOptions = LoadOptions & { readonly scratch?: string | undefined };

/** A request with its adapter by folder or name, as it crosses to the worker. */
export type HostedRequest = Omit<GenerateRequest, "adapter" | "signal"> & { readonly adapter: string | null };

/** A model in its worker. */
interface Host {
  readonly opened: OpenedModel;
  /** Whether the one adapter is folded into the weights, so that there is no model without it. */
  readonly merged: boolean;
  readonly adapters: HostedAdapters;
  readonly programs: HostedPrograms;
}

let host: Host | undefined;

/** Loads the worker's model; a worker holds one. Adapters are checked before any weight is touched. */
export async function loadHostedModel(name: string, { scratch, ...options }: HostOptions, context: WorkerContext): Promise<LoadedModel> {
  const { adapters: directories = [], merged, device, threads, precision } = parseOptions(loadModelSet, options, inCode);
  const { signal, emit } = context;
  const notes: string[] = [];
  const described = await describeModel(name, { signal, onProgress: emit, onNotice: (note) => notes.push(note) });
  const placed: PlacedAdapter[] = [];
  for (const directory of directories) placed.push(await readFittingAdapter(directory, described, context));
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
    adapters: host.adapters.all.map(({ loaded }) => loaded),
    notes,
  };
}

/** Loads an adapter beside the worker's model. @throws InputError where it does not fit, or its name is another's. */
export async function loadHostedAdapter(
  { directory, name }: { directory: string; name?: string },
  context: DownloadContext = {},
): Promise<LoadedAdapter> {
  const target = current();
  if (target.merged)
    throw new InputError("An adapter is folded into this model, so no other can be loaded beside it. Load the model without merged.");
  const known = target.adapters.known(await folderOf(directory, context), name);
  if (known !== undefined) return known;
  const placed = await readFittingAdapter(directory, target.opened, context);
  await admit(target, [placed], name);
  return target.adapters.find(placed.folder).loaded;
}

/** Takes an adapter, given by folder or name, away from the worker's model. */
export async function unloadHostedAdapter(given: string): Promise<void> {
  const { merged, adapters, programs } = current();
  const adapter = adapters.find(given);
  if (merged) throw new InputError("The adapter is folded into this model, and cannot be unloaded. Load the model without merged.");
  adapters.remove(adapter);
  if (adapter.served !== undefined) await programs.forget(adapter.served);
}

/** Answers a request; the text goes out piece by piece as events. */
export async function generateHosted(request: HostedRequest, { signal, emit }: WorkerContext): Promise<void> {
  const { ids, sampling, stream, adapter, ...limits } = ask(current(), request);
  const session = await current().programs.session(adapter?.served);
  for await (const id of session.generate({ prompt: ids, sampling, signal, ...limits })) {
    const piece = stream.push(id);
    if (piece !== "") emit(piece);
    if (stream.stopped) break;
    await breathe();
  }
  const rest = stream.end();
  if (rest !== "") emit(rest);
}

/** Requests that are answered together. */
export interface HostedBatch {
  readonly requests: readonly HostedRequest[];
  /** How many at most. */
  readonly batchSize: number;
}

/** Answers requests together; the texts go out piece by piece as events, each with its row. */
export async function generateHostedBatch({ requests, batchSize }: HostedBatch, { signal, emit }: WorkerContext): Promise<void> {
  const target = current();
  const rows = requests.map((request, row) => namingRow(row, () => ({ row, ...ask(target, request) })));
  for (const [row, { adapter }] of rows.entries()) {
    if (adapter?.served?.alone === undefined) continue;
    throw new InputError(
      `requests[${row}]: the adapter ${adapter.loaded.name} is more than pairs beside layers of the blocks (it has trained weights of the model whole, biases, tokens, or a LoRA of the table of embeddings or the head), which the other rows would read too. Ask it with generate, or merge it into a model of its own.`,
    );
  }
  const program = await target.programs.program({ adapted: rows.some(({ adapter }) => adapter?.served !== undefined) });
  const answered = rows.map(({ row, stream, adapter, ids, ...asked }): RowRequest => {
    const tell = (piece: Omit<BatchPiece, "row">) => emit({ row, ...piece } satisfies BatchPiece);
    return {
      ...asked,
      prompt: ids,
      adapter: adapter?.served,
      onToken: (id) => {
        const text = stream.push(id);
        if (text !== "") tell({ text });
        return !stream.stopped;
      },
      onEnd: (ended) => tell({ text: stream.end(), ended }),
    };
  });
  await answerBatch(program, answered, { together: batchSize, signal, breathe });
}

function namingRow<T>(row: number, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof InputError) throw new InputError(`requests[${row}]: ${error.message}`, { cause: error });
    throw error;
  }
}

async function hostBeside(
  described: DescribedModel,
  placed: readonly PlacedAdapter[],
  on: Device,
  { signal, emit }: WorkerContext,
): Promise<Host> {
  const opened = await mapModel(described, on, { signal, onProgress: emit });
  const target: Host = { opened, merged: false, adapters: new HostedAdapters(), programs: new HostedPrograms(opened) };
  await admit(target, placed);
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
  const programs = new HostedPrograms(opened);
  await programs.program({ adapted: false }); // its weights are mapped before their folder goes
  await removeMerged(scratch);
  const adapters = new HostedAdapters();
  adapters.add({ loaded: describeAdapter(placed, adapters.nameFor(placed.folder, undefined)), served: undefined });
  return { opened, merged: true, adapters, programs };
}

/** Takes adapters beside a model, those that are not there already, into one program for all of them. */
async function admit({ opened, adapters, programs }: Host, placed: readonly PlacedAdapter[], name?: string): Promise<void> {
  const added: HostedAdapter[] = [];
  try {
    for (const each of placed) {
      if (adapters.known(each.folder, name) !== undefined) continue;
      const adapter = { loaded: describeAdapter(each, adapters.nameFor(each.folder, name)), served: await serve(each, opened) };
      adapters.add(adapter);
      added.push(adapter);
    }
    await programs.admit(adapters.served);
  } catch (error) {
    for (const adapter of added) adapters.remove(adapter);
    throw error;
  }
}

/** A request that was found right, ready to be answered. */
interface Asked {
  readonly ids: readonly number[];
  readonly maxNewTokens: number;
  readonly endIds: ReadonlySet<number>;
  readonly sampling: SamplingSettings;
  readonly random: Random;
  readonly stream: TextStream;
  readonly adapter: HostedAdapter | undefined;
}

/** Understands a request. @throws InputError where it is wrong. */
function ask({ opened, merged, adapters }: Host, request: HostedRequest): Asked {
  const { prompt: _prompt, messages: _messages, tools: _tools, adapter: given, ...options } = request;
  const { codec, model } = opened;
  const { temperature, topK = 0, topP = 1, repetitionPenalty, ...settings } = parseOptions(samplingSet, options, inCode);
  const adapter = given === null ? undefined : adapters.find(given);
  if (merged && adapter === undefined)
    throw new InputError("An adapter is folded into this model, so it cannot answer without it. Load the model without merged.");
  const ids = promptIds(codec, request);
  const { maxPositions } = model.dimensions;
  if (ids.length >= maxPositions)
    throw new InputError(`The prompt has ${ids.length} tokens; this model takes ${maxPositions - 1} at the most. Shorten it.`);
  return {
    ids,
    maxNewTokens: settings.maxNewTokens,
    endIds: new Set(codec.endOfTurnIds),
    sampling: { temperature, topK, topP, repetitionPenalty },
    random: createRandom(settings.seed, "sampling"),
    stream: new TextStream((tokens) => codec.decode(tokens, { skipSpecial: true }), settings.stop ?? []),
    adapter,
  };
}

function current(): Host {
  if (host === undefined) throw new Error("the worker has no model yet");
  return host;
}
