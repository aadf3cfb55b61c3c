import { access, copyFile, readdir, readFile, realpath, rename, rm, stat, statfs, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { datasetInfo, getRepoFolderName, type ListFileEntry, listFiles, modelInfo } from "@huggingface/hub";
import { RunError } from "../../errors.js";
import { makeFolder } from "../../files/node/make-folder.js";
import { type DownloadProgress, downloadFile } from "./download-file.js";
import { connectionFetch, explainRefusal, type HubConnection, HubUnreachable, Interrupted, pause } from "./hub-connection.js";

// The cache of huggingface_hub: models--ORG--NAME/{refs/REVISION → commit, blobs/CHECKSUM, snapshots/COMMIT/FILE → blob}.
// https://huggingface.co/docs/huggingface_hub/guides/manage-cache

/** Entries of a repository that are looked at. */
const MAX_ENTRIES = 10_000;
/** No repository on the Hub has a larger file. */
const MAX_FILE_BYTES = 2 ** 42;
const SPARE_BYTES = 64 * 2 ** 20;

/** What a repository holds: adapters are models to the Hub. */
export type RepositoryKind = "model" | "adapter" | "data set";

/** A repository of the Hub. */
export interface Repository {
  readonly kind: RepositoryKind;
  /** `org/name` */
  readonly name: string;
}

const typeOf = ({ kind }: Repository): "model" | "dataset" => (kind === "data set" ? "dataset" : "model");

/** A repository's path on the Hub. */
export const hubPath = (repository: Repository): string => `${typeOf(repository) === "dataset" ? "datasets/" : ""}${repository.name}`;

export interface ListedFile {
  readonly name: string;
  readonly bytes: number;
  readonly digest: { readonly algorithm: "sha256" | "git"; readonly hex: string };
}

/** A commit, and files of it. */
export interface Listing {
  readonly commit: string;
  readonly files: readonly ListedFile[];
}

/** What of a repository is looked at. */
interface Look {
  /** Folders whose files are listed beside those of the top; `all` for every one. */
  readonly folders: readonly string[] | "all";
  /** The files that are wanted, of all that there are. */
  readonly choose: (entries: readonly ListFileEntry[]) => readonly ListFileEntry[];
}

/** Asks the Hub which commit a revision is and which of its files are wanted. */
export async function listRepository(
  repository: Repository,
  revision: string,
  connection: HubConnection,
  { folders, choose }: Look,
): Promise<Listing> {
  const { endpoint, patience } = connection;
  const { name } = repository;
  try {
    const first = connectionFetch(connection, patience.connectMilliseconds, patience.connectMilliseconds + patience.stallMilliseconds);
    const asked = { name, revision, hubUrl: endpoint, fetch: first, additionalFields: ["sha" as const] };
    const info = await ask(connection, () => (typeOf(repository) === "dataset" ? datasetInfo(asked) : modelInfo(asked)));
    const commit: unknown = info.sha;
    if (typeof commit !== "string" || !isCommit(commit)) throw new SyntaxError("no commit");
    const later = connectionFetch(connection, patience.stallMilliseconds, patience.stallMilliseconds);
    const list = (path?: string) =>
      ask(connection, async () => {
        const found: ListFileEntry[] = [];
        const repo = { type: typeOf(repository), name } as const;
        const recursive = folders === "all";
        for await (const entry of listFiles({ repo, recursive, ...(path && { path }), revision: commit, hubUrl: endpoint, fetch: later })) {
          if (found.push(entry) > MAX_ENTRIES) throw new RunError(`${name} has more than ${MAX_ENTRIES} files.`);
        }
        return found;
      });
    const entries = [...(await list())];
    for (const folder of folders === "all" ? [] : folders) {
      if (entries.some(({ type, path }) => type === "directory" && path === folder)) entries.push(...(await list(folder)));
    }
    const files = choose(entries.filter(({ type }) => type === "file"));
    return { commit, files: files.map((entry) => checkEntry(name, entry)) };
  } catch (error) {
    throw explainRefusal(error, { ...repository, path: hubPath(repository) }, endpoint, connection.token !== undefined);
  }
}

/** Downloads what is missing of some files of a commit, and returns the snapshot's folder. */
export async function fetchFiles(
  cacheFolder: string,
  repository: Repository,
  { commit, files }: Listing,
  connection: HubConnection,
  onProgress?: (progress: DownloadProgress) => void,
): Promise<string> {
  const storage = storageFolder(cacheFolder, repository);
  const folder = snapshotFolder(cacheFolder, repository, commit);
  await makeFolder(join(storage, "blobs"));
  await makeFolder(folder);
  await checkRoom(storage, files);

  // Small files first, weights last: a snapshot that has its weights has everything.
  for (const file of [...files].sort((a, b) => a.bytes - b.bytes)) {
    const blob = join(storage, "blobs", file.digest.hex);
    if (!(await exists(blob))) {
      const path = file.name.split("/").map(encodeURIComponent).join("/");
      const address = `${connection.endpoint}/${hubPath(repository)}/resolve/${commit}/${path}`;
      await downloadFile({ ...file, kind: repository.kind, address }, blob, connection, onProgress);
    }
    await makeFolder(dirname(join(folder, file.name)));
    await pointTo(blob, join(folder, file.name));
  }
  return folder;
}

/** The commit that a revision was when it was last fetched; undefined where it never was. */
export async function knownCommit(cacheFolder: string, repository: Repository, revision: string): Promise<string | undefined> {
  const reference = join(storageFolder(cacheFolder, repository), "refs", revision);
  const commit = isCommit(revision) ? revision : (await readFile(reference, "utf8").catch(() => "")).trim();
  return isCommit(commit) ? commit : undefined;
}

/** Remembers which commit a revision is. */
export async function rememberCommit(cacheFolder: string, repository: Repository, revision: string, commit: string): Promise<void> {
  if (!isCommit(revision)) await writeReference(join(storageFolder(cacheFolder, repository), "refs", revision), commit);
}

/** Where files of a commit lie. */
export const snapshotFolder = (cacheFolder: string, repository: Repository, commit: string): string =>
  join(storageFolder(cacheFolder, repository), "snapshots", commit);

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

/** A file's name becomes a path, and its checksum a file name: their forms are checked. */
function checkEntry(name: string, entry: ListFileEntry): ListedFile {
  const hex = entry.lfs?.oid ?? entry.oid ?? "";
  const algorithm = entry.lfs === undefined ? "git" : "sha256";
  const right = algorithm === "git" ? /^[0-9a-f]{40}$/ : /^[0-9a-f]{64}$/;
  const bytes = entry.lfs?.size ?? entry.size;
  if (entry.path.split("/").some((part) => part === "" || part.startsWith("..") || /[\\\0]/.test(part)))
    throw new RunError(`The Hub lists a file of ${name} with the name ${JSON.stringify(entry.path)}, which is no path.`);
  if (!right.test(hex) || !Number.isSafeInteger(bytes) || bytes < 0 || bytes > MAX_FILE_BYTES) {
    throw new RunError(`The Hub lists ${name}/${entry.path} without a usable checksum or size.`);
  }
  return { name: entry.path, bytes, digest: { algorithm, hex } };
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
  await makeFolder(dirname(path));
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, commit);
  await rename(temporary, path);
}

function storageFolder(cacheFolder: string, repository: Repository): string {
  return join(cacheFolder, getRepoFolderName({ type: typeOf(repository), name: repository.name }));
}

function isCommit(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

export async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
