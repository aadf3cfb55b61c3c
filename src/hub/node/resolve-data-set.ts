import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { RunError } from "../../errors.js";
import { makeFolder } from "../../files/node/make-folder.js";
import { chooseDataFiles, type DataSetName, parseDataSetName } from "../data-set.js";
import { fromHub, type HubOptions, ONLY_SOURCE_MILLISECONDS } from "./from-hub.js";
import {
  exists,
  fetchFiles,
  knownCommit,
  type Listing,
  listRepository,
  type Repository,
  rememberCommit,
  snapshotFolder,
} from "./repository.js";
import { lorikeetCacheFolder } from "./settings.js";

/** A file with rows in the cache. */
export interface DataSetFile {
  /** Where it stands on the Hub, for messages: `org/name@commit/path`. */
  readonly name: string;
  readonly path: string;
}

const CARD = "README.md";
/** A card is prose; a longer one is none. */
const MAX_CARD_BYTES = 2 ** 24;
/** Characters of a commit that messages show. */
const SHOWN_COMMIT = 10;

/**
 * The files of a data set on the Hub, downloaded where they are not in the cache: see `parseDataSetName` for the names. The Hub is asked
 * whether there is a newer commit; where it cannot be reached, what the cache has is taken. Undefined for what is no such name.
 *
 * @throws InputError where there is no such data set or split, RunError where the Hub cannot be reached and the cache lacks files.
 */
export async function resolveDataSet(given: string, options: HubOptions = {}): Promise<readonly DataSetFile[] | undefined> {
  const name = parseDataSetName(given);
  if (name === undefined) return undefined;
  const repository: Repository = { kind: "data set", name: name.name };
  return await fromHub(
    {
      name: name.name,
      refresh: true,
      instead: "a file of rows",
      async cached(cacheFolder) {
        const commit = await knownCommit(cacheFolder, repository, name.revision);
        const listing = commit === undefined ? undefined : await readListing(repository, commit);
        if (listing === undefined) return undefined;
        const folder = snapshotFolder(cacheFolder, repository, listing.commit);
        const card = listing.files.some((file) => file.name === CARD)
          ? await readFile(join(folder, CARD), "utf8").catch(() => undefined)
          : "";
        if (card === undefined) return undefined;
        const chosen = chosenOf(name, listing, card);
        const there = await Promise.all(chosen.map((file) => exists(join(folder, file.name))));
        return there.every((each) => each) ? placed(name, listing, chosen, folder) : undefined;
      },
      async download(cacheFolder, connection) {
        const listing = await listRepository(repository, name.revision, connection, { folders: "all", choose: (files) => files });
        const fetch = (files: Listing["files"]) =>
          fetchFiles(cacheFolder, repository, { ...listing, files }, connection, options.onProgress);
        const card = listing.files.filter((file) => file.name === CARD && file.bytes <= MAX_CARD_BYTES);
        const folder = await fetch(card);
        const chosen = chosenOf(name, listing, card.length === 0 ? "" : await readFile(join(folder, CARD), "utf8"));
        await fetch(chosen);
        await writeListing(repository, listing);
        await rememberCommit(cacheFolder, repository, name.revision, listing.commit);
        return placed(name, listing, chosen, folder);
      },
    },
    { ...options, patience: { connectMilliseconds: ONLY_SOURCE_MILLISECONDS, ...options.patience } },
  );
}

function chosenOf(name: DataSetName, { files }: Listing, card: string): Listing["files"] {
  const byName = new Map(files.map((file) => [file.name, file]));
  return chooseDataFiles(name, [...byName.keys()], card).flatMap((file) => byName.get(file) ?? []);
}

const placed = ({ name }: DataSetName, { commit }: Listing, files: Listing["files"], folder: string): DataSetFile[] =>
  files.map((file) => ({ name: `${name}@${commit.slice(0, SHOWN_COMMIT)}/${file.name}`, path: join(folder, file.name) }));

// The Hub's cache holds the files that were wanted; which others there are, and so whether all of a split are there, is kept beside.

const listingForm = z.object({
  commit: z.string().regex(/^[0-9a-f]{40}$/),
  files: z.array(
    z.object({
      name: z.string(),
      bytes: z.number(),
      digest: z.object({ algorithm: z.enum(["sha256", "git"]), hex: z.string() }),
    }),
  ),
});

const listingPath = ({ name }: Repository, commit: string): string =>
  join(lorikeetCacheFolder(), "data-sets", name.replace("/", "--"), `${commit}.json`);

async function readListing(repository: Repository, commit: string): Promise<Listing | undefined> {
  const text = await readFile(listingPath(repository, commit), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return listingForm.parse(JSON.parse(text));
  } catch {
    return undefined; // written by another version, or damaged: the Hub is asked again
  }
}

async function writeListing(repository: Repository, listing: Listing): Promise<void> {
  const path = listingPath(repository, listing.commit);
  try {
    await makeFolder(join(path, ".."));
    await writeFile(path, JSON.stringify(listing));
  } catch (cause) {
    throw new RunError(`${path} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
