import { access, copyFile, mkdir, readdir, readFile, realpath, rename, rm, stat, statfs, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { getRepoFolderName, type ListFileEntry, listFiles, modelInfo } from "@huggingface/hub";
import { InputError, RunError } from "../../errors.js";
import { ggufParts } from "../gguf-parts.js";
import { companionFiles, companionFolders } from "../model-files.js";
import type { HubName } from "../model-name.js";
import { type DownloadProgress, downloadFile } from "./download-file.js";
import { connectionFetch, explainRefusal, type HubConnection, HubUnreachable, Interrupted, pause } from "./hub-connection.js";

// The cache of huggingface_hub: models--ORG--NAME/{refs/REVISION → commit, blobs/CHECKSUM, snapshots/COMMIT/FILE → blob}.
// https://huggingface.co/docs/huggingface_hub/guides/manage-cache

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const shard = /^model-\d{5}-of-\d{5}\.safetensors$/;
/** Entries of a repository's top folder that are looked at. */
const MAX_ENTRIES = 10_000;
/** No model on the Hub has a larger file. */
const MAX_FILE_BYTES = 2 ** 42;
const SPARE_BYTES = 64 * 2 ** 20;

/** The snapshot of a model that is in the cache already and has all it needs; the network is not asked. */
export async function cachedSnapshot(cacheFolder: string, name: HubName, revision: string): Promise<string | undefined> {
  const storage = storageFolder(cacheFolder, name);
  const commit = isCommit(revision) ? revision : (await readFile(join(storage, "refs", revision), "utf8").catch(() => "")).trim();
  if (!isCommit(commit)) return undefined;
  const folder = join(storage, "snapshots", commit);
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
  const { commit, files } = await listModel(name, revision, connection);
  const storage = storageFolder(cacheFolder, name);
  const folder = join(storage, "snapshots", commit);
  await mkdir(join(storage, "blobs"), { recursive: true });
  await mkdir(folder, { recursive: true });
  await checkRoom(storage, files);

  // Small files first, weights last: a snapshot that has its weights has everything.
  for (const file of [...files].sort((a, b) => a.bytes - b.bytes)) {
    const blob = join(storage, "blobs", file.digest.hex);
    if (!(await exists(blob))) {
      const path = file.name.split("/").map(encodeURIComponent).join("/");
      const address = `${connection.endpoint}/${name.repository}/resolve/${commit}/${path}`;
      await downloadFile({ ...file, address }, blob, connection, onProgress);
    }
    await mkdir(dirname(join(folder, file.name)), { recursive: true });
    await pointTo(blob, join(folder, file.name));
  }
  if (!isCommit(revision)) await writeReference(join(storage, "refs", revision), commit);
  return folder;
}

interface ListedFile {
  readonly name: string;
  readonly bytes: number;
  readonly digest: { readonly algorithm: "sha256" | "git"; readonly hex: string };
}

/** Asks the Hub which commit a revision is and which of its files are needed. */
async function listModel(name: HubName, revision: string, connection: HubConnection): Promise<{ commit: string; files: ListedFile[] }> {
  const { endpoint, patience } = connection;
  const describe = (error: unknown) => explainRefusal(error, name.repository, endpoint, connection.token !== undefined);
  try {
    const first = connectionFetch(connection, patience.connectMilliseconds, patience.connectMilliseconds + patience.stallMilliseconds);
    const info = await ask(connection, () =>
      modelInfo({ name: name.repository, revision, hubUrl: endpoint, fetch: first, additionalFields: ["sha"] }),
    );
    const commit: unknown = info.sha;
    if (typeof commit !== "string" || !isCommit(commit)) throw new SyntaxError("no commit");
    const later = connectionFetch(connection, patience.stallMilliseconds, patience.stallMilliseconds);
    const list = (path?: string) =>
      ask(connection, async () => {
        const found: ListFileEntry[] = [];
        const repo = { type: "model", name: name.repository } as const;
        for await (const entry of listFiles({ repo, ...(path && { path }), revision: commit, hubUrl: endpoint, fetch: later })) {
          if (found.push(entry) > MAX_ENTRIES) throw new RunError(`${name.repository} has more than ${MAX_ENTRIES} files.`);
        }
        return found;
      });
    const entries = [...(await list())];
    for (const folder of companionFolders) {
      if (name.file === undefined && entries.some(({ type, path }) => type === "directory" && path === folder))
        entries.push(...(await list(folder)));
    }
    return { commit, files: chooseFiles(name, entries).map((entry) => checkEntry(name, entry)) };
  } catch (error) {
    throw describe(error);
  }
}

/** Asks again while the Hub is busy; that it cannot be reached at all is found at the first try. */
async function ask<T>(connection: HubConnection, question: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await question();
    } catch (error) {
      connection.signal?.throwIfAborted();
      if (error instanceof TypeError || error instanceof DOMException) {
        throw new HubUnreachable(`the answer of ${connection.endpoint} broke off`, { cause: error });
      }
      if (!(error instanceof Interrupted)) throw error;
      if (error.cause !== undefined || attempt >= connection.patience.retries) throw new HubUnreachable(error.message, { cause: error });
      await pause(connection, attempt, error.wait);
    }
  }
}

function chooseFiles(name: HubName, entries: readonly ListFileEntry[]): readonly ListFileEntry[] {
  const files = entries.filter((entry) => entry.type === "file");
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

/** The name is one of ours or a plain file name; the checksum becomes a file name, so its form is checked as well. */
function checkEntry(name: HubName, entry: ListFileEntry): ListedFile {
  const hex = entry.lfs?.oid ?? entry.oid ?? "";
  const algorithm = entry.lfs === undefined ? "git" : "sha256";
  const right = algorithm === "git" ? /^[0-9a-f]{40}$/ : /^[0-9a-f]{64}$/;
  const bytes = entry.lfs?.size ?? entry.size;
  if (!right.test(hex) || !Number.isSafeInteger(bytes) || bytes < 0 || bytes > MAX_FILE_BYTES) {
    throw new RunError(`The Hub lists ${name.repository}/${entry.path} without a usable checksum or size.`);
  }
  return { name: entry.path, bytes, digest: { algorithm, hex } };
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

async function checkRoom(storage: string, files: readonly ListedFile[]): Promise<void> {
  const there = new Map<string, number>();
  for (const name of await readdir(join(storage, "blobs")).catch(() => [])) {
    const found = await stat(join(storage, "blobs", name)).catch(() => undefined);
    if (found !== undefined) there.set(name.replace(/\.incomplete$/, ""), found.size);
  }
  const needed = files.reduce((sum, file) => sum + Math.max(0, file.bytes - (there.get(file.digest.hex) ?? 0)), 0);
  const disk = await statfs(storage).catch(() => undefined);
  if (needed === 0 || disk === undefined || disk.bavail * disk.bsize >= needed + SPARE_BYTES) return;
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`;
  throw new RunError(
    `${storage}: ${megabytes(needed)} are to be downloaded and ${megabytes(disk.bavail * disk.bsize)} are free. Make room, or set HF_HOME to another place.`,
  );
}

/** A relative link as Python makes it, so that the cache can be moved; a copy where the system makes no links. */
async function pointTo(blob: string, pointer: string): Promise<void> {
  if (await exists(pointer)) return;
  const target = relative(await realpath(dirname(pointer)), await realpath(blob));
  await symlink(target, pointer).catch(async (error: unknown) => {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EEXIST" && (await exists(pointer))) return; // another process was faster
    if (code === "EEXIST") {
      await rm(pointer); // a link to a blob that was deleted
      return await symlink(target, pointer);
    }
    if (code !== "EPERM" && code !== "ENOSYS" && code !== "EINVAL") throw error;
    await copyFile(blob, `${pointer}.incomplete`);
    await rename(`${pointer}.incomplete`, pointer);
  });
}

async function writeReference(path: string, commit: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, commit);
  await rename(temporary, path);
}

function storageFolder(cacheFolder: string, name: HubName): string {
  return join(cacheFolder, getRepoFolderName({ type: "model", name: name.repository }));
}

function isCommit(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
