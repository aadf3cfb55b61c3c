import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { encodeUserPrompt } from "../../data/example.js";
import { createRandom } from "../../data/random.js";
import { InputError } from "../../errors.js";
import { GenerationProgram } from "../../generation/generation-program.js";
import { GenerationSession } from "../../generation/generator.js";
import { TextStream } from "../../generation/text-stream.js";
import { vectorFromAdapter } from "../../lora/adapter.js";
import { checkFit } from "../../lora/fit.js";
import { readAdapterFolder } from "../../lora/node/adapter-folder.js";
import { mergeCheckpoint } from "../../lora/node/merge-checkpoint.js";
import { nodeEngine } from "../../runtime/node/engine.js";
import { encodePrompt } from "../../text/rendering.js";
import type { TextCodec } from "../../text/tokenizer.js";
import { mapWeights } from "../../weights/node/mapped-weights.js";
import { openSafetensorsFolder } from "../../weights/node/open-checkpoint.js";
import type { GenerateRequest, LoadedAdapter, LoadModelOptions } from "../api.js";
import { inCode, parseOptions, samplingSet } from "../options.js";
import { findAdapter } from "./adapter-place.js";
import { targetOf } from "./device.js";
import { compileOptions, type OpenedModel, openModel } from "./open-model.js";
import { breathe, type WorkerContext } from "./worker/context.js";

/** What a loaded model tells the thread that asked for it. */
export interface LoadedModel {
  readonly architecture: string;
  readonly parameters: number;
  readonly contextLength: number;
  readonly adapters: readonly LoadedAdapter[];
}

/** A request with its adapter by folder, as it crosses to the worker. */
export type HostedRequest = Omit<GenerateRequest, "adapter" | "signal"> & { readonly adapter: string | null };

/** A model in its worker: compiled once for each adapter that is used, each with a conversation of its own. */
interface Host {
  readonly opened: OpenedModel;
  readonly adapters: Map<string, LoadedAdapter>;
  /** By the adapter's folder; null is the model as it is. */
  readonly sessions: Map<string | null, GenerationSession>;
}

let host: Host | undefined;

/** Loads the worker's model; a worker holds one. */
export async function loadHostedModel(
  name: string,
  { adapters = [], merged = false, device = "auto", threads }: Omit<LoadModelOptions, "signal" | "onProgress">,
  { signal, emit }: WorkerContext,
): Promise<LoadedModel> {
  const target = { target: await targetOf(device), threads };
  const opened = await openModel(name, target, { signal, onProgress: emit });
  host = { opened, adapters: new Map(), sessions: new Map() };
  if (merged) await useMerged(host, adapters, { signal, emit });
  else for (const directory of adapters) await loadHostedAdapter(directory);
  return {
    architecture: opened.model.modelType,
    parameters: opened.parameters,
    contextLength: opened.model.dimensions.maxPositions,
    adapters: [...host.adapters.values()],
  };
}

/** Loads an adapter beside the worker's model. @throws InputError where it does not fit. */
export async function loadHostedAdapter(directory: string): Promise<LoadedAdapter> {
  const { opened, adapters, sessions } = current();
  const folder = await findAdapter(directory);
  const known = adapters.get(folder);
  if (known !== undefined) return known;
  const adapter = await readAdapterFolder(folder);
  checkFit(adapter, opened.model.linearGroups.flat(), opened.name);
  const applied = vectorFromAdapter(adapter, opened.model.linearGroups);
  sessions.set(folder, await compileSession(opened, applied));
  const loaded = {
    name: basename(directory),
    directory: folder,
    rank: adapter.config.rank,
    layers: adapter.layers.length,
    parameters: applied.vector.length,
  };
  adapters.set(folder, loaded);
  return loaded;
}

/** Answers a request; the text goes out piece by piece as events. */
export async function generateHosted(request: HostedRequest, { signal, emit }: WorkerContext): Promise<void> {
  const { prompt: _prompt, messages: _messages, tools: _tools, adapter, ...sampling } = request;
  const { opened, sessions } = current();
  const { codec } = opened;
  const settings = parseOptions(samplingSet, sampling, inCode);
  let session = sessions.get(adapter);
  if (session === undefined) {
    if (adapter !== null) throw new InputError(`The adapter ${adapter} is not loaded beside this model. Load it with loadAdapter first.`);
    session = await compileSession(opened, undefined);
    sessions.set(null, session);
  }
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

function promptIds(codec: TextCodec, { prompt, messages, tools }: Pick<HostedRequest, "prompt" | "messages" | "tools">): number[] {
  if (messages === undefined) {
    if (prompt === undefined) throw new InputError("generate needs a prompt or messages.");
    return encodeUserPrompt(codec, prompt);
  }
  if (codec.chatTemplate !== undefined) return encodePrompt(codec, messages, { tools });
  const [only, ...more] = messages;
  if (only !== undefined && more.length === 0) return encodeUserPrompt(codec, only.content);
  throw new InputError("This model has no chat template, so it cannot take a conversation. Give a single prompt.");
}

async function compileSession(opened: OpenedModel, adapter: ReturnType<typeof vectorFromAdapter> | undefined): Promise<GenerationSession> {
  const { model, compile } = opened;
  const options = { model, adapter, maxPositions: model.dimensions.maxPositions };
  return new GenerationSession(await GenerationProgram.compile(nodeEngine, options, compile));
}

/**
 * Answers come from weights into which the adapter is folded. They are written to a temporary folder that is removed as
 * soon as the engine has mapped them.
 */
async function useMerged(target: Host, directories: readonly string[], { signal, emit }: WorkerContext): Promise<void> {
  const [directory, ...more] = directories;
  if (directory === undefined || more.length > 0)
    throw new InputError(`Merged generation needs exactly one adapter, found ${directories.length}.`);
  const { opened } = target;
  const adapter = await readAdapterFolder(await findAdapter(directory));
  checkFit(adapter, opened.model.linearGroups.flat(), opened.name);
  const temporary = await mkdtemp(join(tmpdir(), "lorikeet-merged-"));
  try {
    const { folder } = await mergeCheckpoint({
      checkpoint: opened.checkpoint,
      adapter,
      out: join(temporary, "model"),
      modelName: opened.name,
      companions: [],
      onProgress: ({ done, total }) => emit({ task: "merging the adapter", done, total, unit: "bytes" }),
      signal,
    });
    const mapped = await mapWeights(await openSafetensorsFolder(folder), { cacheFolder: temporary, signal });
    const merged = { ...opened, compile: compileOptions(mapped, { target: opened.compile.target, threads: opened.compile.threads }) };
    target.sessions.set(null, await compileSession(merged, undefined));
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

function current(): Host {
  if (host === undefined) throw new Error("the worker has no model yet");
  return host;
}
