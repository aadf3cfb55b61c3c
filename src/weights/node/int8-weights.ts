import { basename, dirname, join } from "node:path";
import type { Int8Part, Int8Weight } from "../../graph/op.js";
import { type Checkpoint, elementCount, readSlabs, type StoredTensor } from "../checkpoint.js";
import {
  backwardEncoder,
  type ChannelMoments,
  channelMoments,
  forwardEncoder,
  type Int8Encoder,
  raiseColumnMaxima,
  roundingErrors,
  smoothingFactors,
} from "../kernels/int8.js";
import { readSafetensorsHeader, type SafetensorsHeader, type TensorPlace } from "../safetensors.js";
import { wholeRows } from "../whole-rows.js";
import { mappedFloats, openOrWrite } from "./cache-file.js";
import { checkRoom } from "./disk-room.js";
import { FileByteSource } from "./file-byte-source.js";
import { fingerprint, type MappedTensor } from "./mapped-weights.js";
import { type TensorToWrite, writeSafetensors } from "./write-safetensors.js";

/** Weights [out, in] that read one input, by their names in the checkpoint. */
export interface Int8Group {
  /** The name under which the input was measured. */
  readonly input: string;
  readonly weights: readonly string[];
  /** How the input is rounded, where that is not chosen by what it costs. */
  readonly range?: "row" | "fine";
}

/** A weight's int8 form in a file that the engine maps. */
export interface MappedInt8 {
  readonly range: Int8Weight["range"];
  readonly shape: readonly [number, number];
  readonly parts: ReadonlyMap<Int8Part, TensorPlace>;
}

export interface Int8Weights {
  readonly folder: string;
  readonly file: string;
  readonly int8: ReadonlyMap<string, MappedInt8>;
  /** What stays in floating point: norms, and tables that are read by row. */
  readonly float: ReadonlyMap<string, MappedTensor>;
}

/** Goes into the key of every cache file: raise it when what is written changes. */
const LAYOUT_VERSION = 10;
/** An input gets two codes for each value where one costs its products more than this, relative to their size. */
const LARGE_ERROR = 0.02;
/** One scale serves a whole input where it costs at most this much more than one for each row. */
const SHARED_SCALE = 1.05;

export interface Int8Options {
  readonly cacheFolder: string;
  readonly groups: readonly Int8Group[];
  /** Weights that are read in floating point, in int8 too or not. */
  readonly float: readonly string[];
  /** The groups' inputs in a typical text [N, in], by the groups' input names. Asked for once, when the file is written. */
  readonly measureInputs: () => Promise<ReadonlyMap<string, Float32Array>>;
  /** With bytes of weights that are done. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The int8 form of a checkpoint's linear layers, written once into the cache folder and mapped from there. */
export async function mapInt8Weights(checkpoint: Checkpoint, options: Int8Options): Promise<Int8Weights> {
  const key = await fingerprint([...checkpoint.tensors.values()], `int8 cache ${LAYOUT_VERSION} ${options.groups.length}`);
  const path = join(options.cacheFolder, `${key}.int8.safetensors`);
  return openOrWrite(
    path,
    () => openCached(path, options),
    () => writeInt8(path, checkpoint, options),
  );
}

/** What the file's metadata says of each weight. */
type Ranges = Readonly<Record<string, MappedInt8["range"]>>;

async function openCached(path: string, { groups, float }: Int8Options): Promise<Int8Weights | undefined> {
  let header: SafetensorsHeader;
  let ranges: Ranges;
  try {
    header = await readSafetensorsHeader(await FileByteSource.open(path));
    ranges = JSON.parse(header.metadata.ranges ?? "{}") ?? {};
  } catch {
    return undefined; // not there, or damaged: it is written again
  }
  const [folder, file] = [dirname(path), basename(path)];
  const floats = mappedFloats(path, header, float);
  if (floats === undefined) return undefined;
  const int8 = new Map<string, MappedInt8>();
  for (const { input, weights } of groups) {
    for (const weight of weights) {
      const range = ranges[weight];
      const codes = header.places.get(partName(weight, "backwardCodes"))?.shape;
      if (range === undefined || codes === undefined) return undefined;
      const parts = new Map<Int8Part, TensorPlace>();
      for (const part of partNames) {
        const place = header.places.get(partName(part === "smooth" ? input : weight, part));
        if (place === undefined) return undefined;
        parts.set(part, place);
      }
      int8.set(weight, { range, shape: [codes[0] ?? 0, codes[1] ?? 0], parts });
    }
  }
  return { folder, file, int8, float: floats };
}

/** The smoothing belongs to the input, the rest to each of the weights that read it. */
const partNames = ["smooth", "forwardCodes", "forwardScales", "backwardCodes", "backwardScales"] as const;
const partName = (owner: string, part: Int8Part) => `${owner}#${part}`;

/** How the input of a group is rounded. */
interface Rounding {
  readonly smooth: Float32Array<ArrayBuffer>;
  readonly range: MappedInt8["range"];
  readonly moments: ChannelMoments;
}

async function writeInt8(path: string, checkpoint: Checkpoint, options: Int8Options): Promise<void> {
  const tensorOf = (name: string): StoredTensor => {
    const tensor = checkpoint.tensors.get(name);
    if (tensor === undefined) throw new Error(`the checkpoint has no weight "${name}"`);
    return tensor;
  };
  const inputs = await options.measureInputs();
  const entries: TensorToWrite[] = [];
  const ranges: Record<string, MappedInt8["range"]> = {};
  for (const name of options.float) {
    const tensor = tensorOf(name);
    entries.push({ name, dtype: "F32", shape: tensor.shape, data: () => readSlabs(tensor) });
  }
  const total = options.groups.flatMap(({ weights }) => weights).reduce((sum, name) => sum + (elementCount(tensorOf(name).shape) ?? 0), 0);
  await checkRoom(dirname(path), "the int8 form of the model", roomFor(options, checkpoint, total), "choose another cache folder");
  let done = 0;
  for (const group of options.groups) {
    options.signal?.throwIfAborted();
    const tensors = group.weights.map(tensorOf);
    const maxima = await Promise.all(tensors.map(columnMaxima));
    const samples = await Promise.all(tensors.map(sampleRows));
    const rounding = chooseRounding(inputs.get(group.input) ?? new Float32Array(0), maxima, joined(samples), group.range);
    entries.push({ name: partName(group.input, "smooth"), dtype: "F32", shape: [rounding.smooth.length], data: () => rounding.smooth });
    for (const [index, tensor] of tensors.entries()) {
      ranges[tensor.name] = rounding.range;
      entries.push(...encodedParts(tensor, rounding, maxima[index] ?? new Float32Array(0)));
    }
  }
  // Matrices are encoded when their turn to be written comes, one at a time.
  const counted = entries.map((entry) => ({
    ...entry,
    data: async function* () {
      options.signal?.throwIfAborted();
      const data = await entry.data();
      if (Symbol.asyncIterator in data) yield* data;
      else yield data;
      if (entry.name.endsWith("#backwardCodes")) {
        done += entry.shape.reduce((product, size) => product * size, 1);
        options.onProgress?.({ done, total });
      }
    },
  }));
  await writeSafetensors(path, counted, { format: "lorikeet-int8", ranges: JSON.stringify(ranges) });
}

/** Bytes of the file, about. */
function roomFor({ float }: Int8Options, checkpoint: Checkpoint, total: number): number {
  return 2 * total + float.reduce((sum, name) => sum + 4 * (elementCount(checkpoint.tensors.get(name)?.shape ?? []) ?? 0), 0);
}

/** The largest magnitude of each column of a matrix. */
export async function columnMaxima(tensor: StoredTensor): Promise<Float32Array<ArrayBuffer>> {
  const maxima = new Float32Array(tensor.shape[1] ?? 0);
  for await (const rows of readRows(tensor)) raiseColumnMaxima(maxima, rows);
  return maxima;
}

/** Whole rows of a matrix, many at a time. */
export const readRows = (tensor: StoredTensor): AsyncGenerator<Float32Array> => wholeRows(readSlabs(tensor), tensor.shape[1] ?? 1);

/**
 * The share of a channel's range that goes to the weight. Larger ones fit the measured text better and others worse: gradients
 * of another text moved away from float32's with 0.65 and 0.8 in the choice.
 */
const ALPHA = 0.5;

/** The smoothing of a group's input, and how it is rounded. */
function chooseRounding(
  input: Float32Array,
  weightMaxima: readonly Float32Array[],
  weightRows: Float32Array,
  given: Int8Group["range"],
): Rounding {
  const columns = weightMaxima[0]?.length ?? 0;
  const ofWeights = new Float32Array(columns);
  for (const maxima of weightMaxima) raiseColumnMaxima(ofWeights, maxima);
  const ofInput = new Float32Array(columns);
  raiseColumnMaxima(ofInput, input);
  const moments = channelMoments(input, columns);
  const smooth = smoothingFactors(ofInput, ofWeights, ALPHA);
  const errors = roundingErrors(input, weightRows, smooth);
  const [shared, separate] = [Math.hypot(errors.tensor, errors.weight), Math.hypot(errors.row, errors.weight)];
  if (given !== undefined) return { smooth, moments, range: given };
  if (Math.min(shared, separate) > LARGE_ERROR) return { smooth, moments, range: "fine" };
  return { smooth, moments, range: shared <= SHARED_SCALE * separate ? "tensor" : "row" };
}

/** Rows of W that stand for all of them when the choice is made. */
const SAMPLED_ROWS = 128;

/** Some rows of a matrix, evenly spread. */
export async function sampleRows(tensor: StoredTensor): Promise<Float32Array> {
  const [outputs, inputs] = [tensor.shape[0] ?? 0, tensor.shape[1] ?? 0];
  const stride = Math.max(1, Math.floor(outputs / SAMPLED_ROWS));
  const sampled: Float32Array[] = [];
  let row = 0;
  for await (const rows of readRows(tensor)) {
    for (let start = 0; start < rows.length; start += inputs, row++) {
      if (row % stride === 0) sampled.push(rows.slice(start, start + inputs));
    }
  }
  return joined(sampled);
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The parts of one matrix. */
function encodedParts(tensor: StoredTensor, { smooth, moments }: Rounding, maxima: Float32Array): TensorToWrite[] {
  const [outputs, inputs] = [tensor.shape[0] ?? 0, tensor.shape[1] ?? 0];
  const forward = encodedForm(tensor, () => forwardEncoder(outputs, smooth, moments));
  const backward = encodedForm(tensor, () => backwardEncoder(outputs, maxima));
  return [
    { name: partName(tensor.name, "forwardScales"), dtype: "F32", shape: [outputs], data: forward.scales },
    { name: partName(tensor.name, "forwardCodes"), dtype: "I8", shape: [inputs, outputs], data: forward.codes },
    { name: partName(tensor.name, "backwardScales"), dtype: "F32", shape: [inputs], data: backward.scales },
    { name: partName(tensor.name, "backwardCodes"), dtype: "I8", shape: [outputs, inputs], data: backward.codes },
  ];
}

/** Scales and codes of one form, encoded together when the scales are asked for and let go with the codes. */
function encodedForm(tensor: StoredTensor, create: () => Int8Encoder) {
  let encoded: Promise<Int8Encoder> | undefined;
  const encode = async () => {
    const encoder = create();
    const columns = tensor.shape[1] ?? 1;
    let row = 0;
    for await (const rows of readRows(tensor)) {
      encoder.addRows(rows, row);
      row += rows.length / columns;
    }
    return encoder;
  };
  const started = () => {
    encoded ??= encode();
    return encoded;
  };
  return {
    scales: async () => (await started()).scales,
    codes: async () => {
      const { codes } = await started();
      encoded = undefined;
      return codes;
    },
  };
}
