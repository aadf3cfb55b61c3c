import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ListFileEntry } from "@huggingface/hub";
import { InputError } from "../../errors.js";
import { ggufParts } from "../gguf-parts.js";
import { companionFiles, companionFolders } from "../model-files.js";
import type { HubName } from "../model-name.js";
import type { DownloadProgress } from "./download-file.js";
import type { HubConnection } from "./hub-connection.js";
import { exists, fetchFiles, knownCommit, listRepository, type Repository, rememberCommit, snapshotFolder } from "./repository.js";

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const shard = /^model-\d{5}-of-\d{5}\.safetensors$/;

const repositoryOf = ({ repository }: HubName): Repository => ({ kind: "model", name: repository });

/** The snapshot of a model that is in the cache already and has all it needs; the network is not asked. */
export async function cachedSnapshot(cacheFolder: string, name: HubName, revision: string): Promise<string | undefined> {
  const commit = await knownCommit(cacheFolder, repositoryOf(name), revision);
  if (commit === undefined) return undefined;
  const folder = snapshotFolder(cacheFolder, repositoryOf(name), commit);
  // Without tokenizer_config.json the tokenizer may have been left out by a tool that needed the weights alone.
  const needed =
    name.file === undefined ? ["config.json", "tokenizer_config.json", ...((await weightFiles(folder)) ?? [SINGLE])] : ggufParts(name.file);
  for (const file of needed) if (!(await exists(join(folder, file)))) return undefined;
  return folder;
}

/** Downloads what is missing of a model, or of one GGUF file of it, and returns the snapshot's folder. */
export async function downloadSnapshot(
  cacheFolder: string,
  name: HubName,
  revision: string,
  connection: HubConnection,
  onProgress?: (progress: DownloadProgress) => void,
): Promise<string> {
  const repository = repositoryOf(name);
  const look = {
    folders: name.file === undefined ? companionFolders : [],
    choose: (files: readonly ListFileEntry[]) => chooseFiles(name, files),
  };
  const listing = await listRepository(repository, revision, connection, look);
  const folder = await fetchFiles(cacheFolder, repository, listing, connection, onProgress);
  await rememberCommit(cacheFolder, repository, revision, listing.commit);
  return folder;
}

function chooseFiles(name: HubName, files: readonly ListFileEntry[]): readonly ListFileEntry[] {
  const names = new Set(files.map((entry) => entry.path));
  const ggufs = files.map((entry) => entry.path).filter((path) => /\.gguf$/i.test(path));
  if (name.file !== undefined) {
    const parts = ggufParts(name.file);
    const missing = parts.find((part) => !names.has(part));
    if (missing === undefined) return files.filter((entry) => parts.includes(entry.path));
    throw new InputError(`${name.repository} has no file ${missing}. Its .gguf files: ${ggufs.join(", ") || "none"}.`);
  }
  if (!names.has("config.json") || !(names.has(SINGLE) || names.has(INDEX))) {
    const hint =
      ggufs[0] === undefined ? "Choose a model that has them." : `It has GGUF files: name one, as in ${name.repository}:${ggufs[0]}.`;
    throw new InputError(`${name.repository} has no config.json with ${SINGLE} or ${INDEX}. ${hint}`);
  }
  const isWeight = (path: string) => (names.has(SINGLE) ? path === SINGLE : path === INDEX || shard.test(path));
  return files.filter((entry) => companionFiles.includes(entry.path) || isWeight(entry.path));
}

/** The shards that a downloaded index names, or undefined where there is none. */
async function weightFiles(folder: string): Promise<readonly string[] | undefined> {
  if (await exists(join(folder, SINGLE))) return [SINGLE];
  try {
    const index: { weight_map?: Record<string, unknown> } = JSON.parse(await readFile(join(folder, INDEX), "utf8"));
    const files = new Set(Object.values(index.weight_map ?? {}).map(String));
    return files.size > 0 && [...files].every((file) => shard.test(file)) ? [...files] : undefined;
  } catch {
    return undefined;
  }
}
