import { basename, dirname, join } from "node:path";
import { type Checkpoint, elementCount, readSlabs, type StoredTensor } from "../checkpoint.js";
import { BLOCK, encodeBlocks, encodeRows, rowRoundingError, type StackedCodes, stackedCodes } from "../kernels/answering.js";
import { raiseColumnMaxima, smoothingFactors } from "../kernels/int8.js";
import { readSafetensorsHeader, type SafetensorsHeader, type TensorPlace } from "../safetensors.js";
import { mappedFloats, openOrWrite } from "./cache-file.js";
import { checkRoom } from "./disk-room.js";
import { FileByteSource } from "./file-byte-source.js";
import { columnMaxima, readRows, sampleRows } from "./int8-weights.js";
import { fingerprint, type MappedTensor } from "./mapped-weights.js";
import { type TensorToWrite, writeSafetensors } from "./write-safetensors.js";

/** Weights [out, in] that read one input, by their names in the checkpoint. */
export interface AnsweringGroup {
  /** The name under which the input was measured. */
  readonly input: string;
  readonly weights: readonly string[];
  /** Rows: side by side, a scale for each output. Blocks: a single weight, a scale for each 32 weights of a row. */
  readonly kind: "rows" | "blocks";
}

/** A group's form for answers in a file that the engine maps. */
export interface MappedAnswering extends AnsweringGroup {
  /** Its input is rounded to 16 bits, not to 8. */
  readonly fine: boolean;
  /** Columns of the weights. */
  readonly inputs: number;
  readonly parts: ReadonlyMap<string, TensorPlace>;
}

export interface AnsweringWeights {
  readonly folder: string;
  readonly file: string;
  readonly groups: readonly MappedAnswering[];
  /** What stays in floating point: norms, and tables that are read by row. */
  readonly float: ReadonlyMap<string, MappedTensor>;
}

export interface AnsweringOptions {
  readonly cacheFolder: string;
  readonly groups: readonly AnsweringGroup[];
  /** Weights that are read in floating point, in another form too or not. */
  readonly float: readonly string[];
  /** The groups' inputs in a typical text [N, in], by the groups' input names. Asked for once, when the file is written. */
  readonly measureInputs: () => Promise<ReadonlyMap<string, Float32Array>>;
  /** With weights that are done. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Goes into the key of every cache file: raise it when what is written changes. */
const LAYOUT_VERSION = 3;
/** The share of a channel's range that goes to the weight, in the logarithm. */
const ALPHA = 0.5;
/** Inputs whose rounding to 8 bits moves the product by more than this are rounded to 16. */
const LARGE_ERROR = 0.0175;

/** The form for answers of a checkpoint's linear layers, written once into the cache folder and mapped from there. */
export async function mapAnsweringWeights(checkpoint: Checkpoint, options: AnsweringOptions): Promise<AnsweringWeights> {
  const key = await fingerprint([...checkpoint.tensors.values()], `answering cache ${LAYOUT_VERSION} ${options.groups.length}`);
  const path = join(options.cacheFolder, `${key}.answers.safetensors`);
  return openOrWrite(
    path,
    () => openCached(path, options),
    () => write(path, checkpoint, options),
  );
}

async function openCached(path: string, { groups, float }: AnsweringOptions): Promise<AnsweringWeights | undefined> {
  let header: SafetensorsHeader;
  let fine: unknown;
  try {
    header = await readSafetensorsHeader(await FileByteSource.open(path));
    fine = JSON.parse(header.metadata.fine ?? "");
  } catch {
    return undefined; // not there, or damaged: it is written again
  }
  if (!Array.isArray(fine)) return undefined;
  const [folder, file] = [dirname(path), basename(path)];
  const floats = mappedFloats(path, header, float);
  if (floats === undefined) return undefined;
  const mapped: MappedAnswering[] = [];
  for (const group of groups) {
    const parts = new Map<string, TensorPlace>();
    for (const part of partNames[group.kind]) {
      const place = header.places.get(partName(group, part));
      if (place === undefined) return undefined;
      parts.set(part, place);
    }
    const { shape = [] } = parts.get("codes") ?? {};
    const inputs = group.kind === "rows" ? (shape[0] ?? 0) : (shape[1] ?? 0) * BLOCK;
    mapped.push({ ...group, inputs, parts, fine: fine.includes(group.input) });
  }
  return { folder, file, groups: mapped, float: floats };
}

const partNames = { rows: ["smooth", "codes", "scales", "sums"], blocks: ["codes", "scales"] } as const;
const partName = ({ input }: AnsweringGroup, part: string) => `${input}#${part}`;

async function write(path: string, checkpoint: Checkpoint, options: AnsweringOptions): Promise<void> {
  const tensorOf = (name: string): StoredTensor => {
    const tensor = checkpoint.tensors.get(name);
    if (tensor === undefined) throw new Error(`the checkpoint has no weight "${name}"`);
    return tensor;
  };
  const size = (names: readonly string[]) => names.reduce((sum, name) => sum + (elementCount(tensorOf(name).shape) ?? 0), 0);
  const total = size(options.groups.flatMap(({ weights }) => weights));
  const room = total + 4 * size(options.float);
  await checkRoom(dirname(path), "the model's form for answers", room, "choose another cache folder");
  const inputs = await options.measureInputs();
  const entries: TensorToWrite[] = options.float.map((name) => {
    const tensor = tensorOf(name);
    return { name, dtype: "F32", shape: tensor.shape, data: () => readSlabs(tensor) };
  });
  const fine: string[] = [];
  let done = 0;
  for (const group of options.groups) {
    options.signal?.throwIfAborted();
    const tensors = group.weights.map(tensorOf);
    const advance = () => {
      options.signal?.throwIfAborted();
      done += size(group.weights);
      options.onProgress?.({ done, total });
    };
    if (group.kind === "blocks") entries.push(...blockEntries(group, tensors, advance));
    else {
      const rounding = await chooseRounding(inputs.get(group.input) ?? new Float32Array(0), tensors);
      if (rounding.fine) fine.push(group.input);
      entries.push(...rowEntries(group, tensors, rounding.smooth, advance));
    }
  }
  await writeSafetensors(path, entries, { format: "lorikeet-answers", fine: JSON.stringify(fine) });
}

/** How the rows of an input are rounded on their way into a product. */
interface InputRounding {
  /** Factors on its channels, by which the weights' columns are divided (Xiao et al. 2022). */
  readonly smooth: Float32Array<ArrayBuffer>;
  /** To 16 bits, since 8 cost too much. */
  readonly fine: boolean;
}

/**
 * The rounding that fits an input.
 *
 * @param input what layers read in a typical text [N, in]
 * @param tensors their weights [·, in]
 */
async function chooseRounding(input: Float32Array, tensors: readonly StoredTensor[]): Promise<InputRounding> {
  const columns = tensors[0]?.shape[1] ?? 0;
  const [ofWeights, ofInput] = [new Float32Array(columns), new Float32Array(columns)];
  raiseColumnMaxima(ofInput, input);
  for (const tensor of tensors) raiseColumnMaxima(ofWeights, await columnMaxima(tensor));
  const smooth = smoothingFactors(ofInput, ofWeights, ALPHA);
  const errors: number[] = [];
  for (const tensor of tensors) errors.push(rowRoundingError(input, await sampleRows(tensor), smooth));
  return { smooth, fine: Math.max(...errors) > LARGE_ERROR };
}

/** The parts of one group: all rows are encoded together when the codes' turn comes, the first of them. */
function rowEntries(
  group: AnsweringGroup,
  tensors: readonly StoredTensor[],
  smooth: Float32Array<ArrayBuffer>,
  advance: () => void,
): TensorToWrite[] {
  const inputs = smooth.length;
  const outputs = tensors.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0);
  let encoded: Omit<StackedCodes, "codes"> | undefined;
  const codes = async () => {
    const stacked = stackedCodes(inputs, outputs);
    let first = 0;
    for (const tensor of tensors) {
      for await (const rows of readRows(tensor)) {
        encodeRows(stacked, rows, first, smooth);
        first += rows.length / inputs;
      }
    }
    encoded = { scales: stacked.scales, sums: stacked.sums };
    advance();
    return stacked.codes;
  };
  const small = (part: keyof Omit<StackedCodes, "codes">) => () => {
    if (encoded === undefined) throw new Error(`${group.input}: its codes were not written first`);
    return encoded[part];
  };
  return [
    { name: partName(group, "smooth"), dtype: "F32", shape: [inputs], data: () => smooth },
    { name: partName(group, "codes"), dtype: "I8", shape: [inputs, outputs], data: codes },
    { name: partName(group, "scales"), dtype: "F32", shape: [outputs], data: small("scales") },
    { name: partName(group, "sums"), dtype: "F32", shape: [1, outputs], data: small("sums") },
  ];
}

/** The parts of one weight in blocks. Its rows are read once for each part, so that no more than a few are in memory. */
function blockEntries(group: AnsweringGroup, tensors: readonly StoredTensor[], advance: () => void): TensorToWrite[] {
  const [tensor] = tensors;
  const [outputs = 0, inputs = 0] = tensor?.shape ?? [];
  const part = (name: "codes" | "scales") =>
    async function* () {
      if (tensor !== undefined) for await (const rows of readRows(tensor)) yield encodeBlocks(rows)[name];
      if (name === "codes") advance();
    };
  return [
    { name: partName(group, "scales"), dtype: "F32", shape: [outputs, inputs / BLOCK], data: part("scales") },
    { name: partName(group, "codes"), dtype: "U8", shape: [outputs, inputs / BLOCK, BLOCK], data: part("codes") },
  ];
}
