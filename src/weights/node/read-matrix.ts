import { stat } from "node:fs/promises";
import { extname } from "node:path";
import { InputError } from "../../errors.js";
import type { Checkpoint } from "../checkpoint.js";
import { parseCsvMatrix } from "../csv-matrix.js";
import { EPSILON, type StoredMatrix } from "../matrix.js";
import { readNpyMatrix } from "../npy.js";
import { FileByteSource } from "./file-byte-source.js";
import { openGguf, openSafetensorsFile, openSafetensorsFolder } from "./open-checkpoint.js";

/** Text of a matrix: 2^26 numbers would not be shorter. */
const MAX_TEXT_BYTES = 2 ** 30;
/** Names of tensors that a message lists. */
const LISTED = 8;

/**
 * Reads a matrix: numbers as text, a .npy file, or a tensor of a checkpoint (a .safetensors or .gguf file, or a model's folder).
 *
 * @param tensor which one of a checkpoint, by Hugging Face's name; a single matrix needs none
 * @throws InputError where it is none, for a tensor that is missing or named in vain, and for values that are not finite
 */
export async function readMatrix(path: string, tensor?: string): Promise<StoredMatrix> {
  const matrix = await readAnyMatrix(path, tensor);
  const at = matrix.values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return matrix;
  const place = `row ${Math.floor(at / matrix.columns) + 1}, column ${(at % matrix.columns) + 1}`;
  throw new InputError(`${path}: expected numbers, found ${matrix.values[at]} in ${place}. A matrix with such values has no rank.`);
}

async function readAnyMatrix(path: string, tensor: string | undefined): Promise<StoredMatrix> {
  const open = await checkpointReader(path);
  if (open !== undefined) return await readTensor(path, await open(path), tensor);
  if (tensor !== undefined) throw new InputError(`${path}: holds one matrix and no tensors by name. Leave out --tensor.`);
  const source = await FileByteSource.open(path);
  if (extname(path).toLowerCase() === ".npy") return await readNpyMatrix(source);
  if (source.size > MAX_TEXT_BYTES)
    throw new InputError(`${path}: has ${source.size} bytes, too many for numbers as text. Save the matrix as .npy.`);
  const bytes = await source.read(0, source.size);
  try {
    return parseCsvMatrix(new TextDecoder("utf-8", { fatal: true }).decode(bytes), path);
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw new InputError(`${path}: expected numbers as text, a .npy, .safetensors or .gguf file; it is not UTF-8 text.`, { cause });
  }
}

async function checkpointReader(path: string): Promise<((path: string) => Promise<Checkpoint>) | undefined> {
  if ((await stat(path).catch(() => undefined))?.isDirectory()) return openSafetensorsFolder;
  switch (extname(path).toLowerCase()) {
    case ".safetensors":
      return openSafetensorsFile;
    case ".gguf":
      return async (file) => (await openGguf(file)).checkpoint;
    default:
      return undefined;
  }
}

async function readTensor(path: string, checkpoint: Checkpoint, name: string | undefined): Promise<StoredMatrix> {
  const matrices = [...checkpoint.tensors.values()].filter(({ shape }) => shape.length === 2);
  const wanted = name ?? (matrices.length === 1 ? matrices[0]?.name : undefined);
  if (wanted === undefined) {
    const some = matrices.slice(0, LISTED).map((each) => each.name);
    throw new InputError(
      `${path}: has ${matrices.length} matrices; name one with --tensor, such as ${some.join(", ") || "none"}${matrices.length > LISTED ? ", …" : ""}.`,
    );
  }
  const found = checkpoint.tensors.get(wanted);
  if (found !== undefined && found.shape.length !== 2)
    throw new InputError(`${path}: ${wanted} has the shape [${found.shape.join(", ")}]; a matrix has two dimensions.`);
  const values = await checkpoint.readFloat32(wanted);
  const [rows = 0, columns = 0] = found?.shape ?? [];
  if (values.length === 0) throw new InputError(`${path}: ${wanted} is empty.`);
  return { rows, columns, values, epsilon: EPSILON.single };
}
