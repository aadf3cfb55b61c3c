import { join } from "node:path";
import { InputError } from "../../errors.js";
import { readRequiredText } from "../../files/node/read-text-file.js";
import { parseJsonText } from "../../files/parse-json.js";
import type { ByteSource } from "../byte-source.js";
import type { Checkpoint } from "../checkpoint.js";
import { type GgufModel, type RawGguf, readGguf, readGgufParts } from "../gguf.js";
import { readSafetensors } from "../safetensors.js";
import { exists } from "./exists.js";
import { FileByteSource } from "./file-byte-source.js";

/** An index names every tensor once; 100 MB is a thousand times the largest. */
const MAX_INDEX_BYTES = 100_000_000;
const MAX_SHARDS = 10_000;

/** Opens the weights of a model folder: `model.safetensors`, or the shards that `model.safetensors.index.json` lists. */
export async function openSafetensorsFolder(folder: string): Promise<Checkpoint> {
  const single = join(folder, "model.safetensors");
  if (await exists(single)) return await readSafetensors([await FileByteSource.open(single)]);
  const index = join(folder, "model.safetensors.index.json");
  if (!(await exists(index))) {
    throw new InputError(
      `${folder} has neither model.safetensors nor model.safetensors.index.json. Weights in another form (.bin, .pt) are not read.`,
    );
  }
  const places = parseIndex(index, await readRequiredText(index, MAX_INDEX_BYTES));
  const sources: FileByteSource[] = [];
  for (const file of new Set(places.values())) sources.push(await FileByteSource.open(join(folder, file)));
  const checkpoint = await readSafetensors(sources);
  const missing = [...places.keys()].filter((name) => !checkpoint.tensors.has(name) && !checkpoint.unreadable.has(name));
  if (missing.length > 0) {
    throw new InputError(
      `${index}: ${missing.length} tensors are in none of the shards, such as ${missing.slice(0, 3).join(", ")}. Fetch the model again.`,
    );
  }
  return checkpoint;
}

/** Opens one safetensors file. */
export async function openSafetensorsFile(path: string): Promise<Checkpoint> {
  return await readSafetensors([await FileByteSource.open(path)]);
}

/** Opens a GGUF model, or all parts of one, in order. */
export async function openGguf(...parts: readonly [string, ...string[]]): Promise<GgufModel> {
  return await readGguf(...(await openParts(...parts)));
}

/** The same as it stands, with llama.cpp's names. */
export async function openRawGguf(...parts: readonly [string, ...string[]]): Promise<RawGguf> {
  return await readGgufParts(await openParts(...parts));
}

async function openParts(first: string, ...more: readonly string[]): Promise<[ByteSource, ...ByteSource[]]> {
  const missing: string[] = [];
  for (const path of more.length === 0 ? [] : [first, ...more]) if (!(await exists(path))) missing.push(path);
  if (missing.length > 0) {
    throw new InputError(
      `The model is in ${more.length + 1} files, of which these are missing: ${missing.join(", ")}. Fetch them into the same folder.`,
    );
  }
  return [await FileByteSource.open(first), ...(await Promise.all(more.map((path) => FileByteSource.open(path))))];
}

/** Tensor → file, of an index whose files all lie in its own folder. */
function parseIndex(path: string, text: string): ReadonlyMap<string, string> {
  const bad = (what: string) => new InputError(`${path} ${what}. Fetch the model again.`);
  let index: unknown;
  try {
    index = parseJsonText(text);
  } catch {
    throw bad("is not JSON");
  }
  const map = typeof index === "object" && index !== null && "weight_map" in index ? index.weight_map : undefined;
  if (typeof map !== "object" || map === null || Array.isArray(map)) throw bad("has no weight_map");
  const places = new Map<string, string>();
  for (const [name, file] of Object.entries(map)) {
    // A plain file name: an index must not reach out of its folder.
    if (typeof file !== "string" || !/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.safetensors$/.test(file)) {
      throw bad(`puts ${JSON.stringify(name)} into ${JSON.stringify(file)}, which is not the name of a safetensors file beside it`);
    }
    places.set(name, file);
  }
  if (places.size === 0) throw bad("lists no tensors");
  if (new Set(places.values()).size > MAX_SHARDS) throw bad(`lists more than ${MAX_SHARDS} files`);
  return places;
}
