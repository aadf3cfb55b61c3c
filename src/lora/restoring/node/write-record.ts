import { basename, join } from "node:path";
import { companionFiles } from "../../../hub/model-files.js";
import type { ByteSource } from "../../../weights/byte-source.js";
import { type Checkpoint, elementCount, type StoredTensor } from "../../../weights/checkpoint.js";
import { correctionOf } from "../../../weights/corrections.js";
import { writeFileAtomic, writeStreamAtomic } from "../../../weights/node/atomic-file.js";
import { exists } from "../../../weights/node/exists.js";
import { FileByteSource } from "../../../weights/node/file-byte-source.js";
import { storedFormats } from "../../../weights/stored-types.js";
import type { Adapter, AdapterLayer } from "../../adapter.js";
import { layersByWeight } from "../../merged-values.js";
import { variantOf } from "../../variants/index.js";
import type { InferenceForm } from "../../variants/variant.js";
import { predictedWeights } from "../prediction.js";
import { type BaseRecord, RECORD_DATA, RECORD_INDEX, type RecordedFile, type RecordedForm, type RecordedTensor } from "../record.js";
import { fingerprintOf, PieceWriter, piecesOf, sha256Of } from "./record-data.js";

/** What is to be restorable. */
export interface RestorableMerge {
  /** The base, and where its weights and the files beside them lie. */
  readonly base: { readonly name: string; readonly kind: "folder" | "gguf"; readonly path: string; readonly checkpoint: Checkpoint };
  /** The merged model as it was written. */
  readonly merged: Checkpoint;
  /** The base's name of a table of embeddings that is the head too; undefined where the head is a matrix of its own. */
  readonly table: string | undefined;
  readonly adapter: Adapter;
  /** What the person called the adapter. */
  readonly adapterName: string;
  readonly signal?: AbortSignal;
  /** Told of bytes of the base. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

/** The name of a head that may be no tensor of its own. */
const HEAD = "lm_head.weight";
const licences = ["LICENSE", "LICENSE.txt"];
const INDEX = "model.safetensors.index.json";

/**
 * Writes what `restoreBase` needs into an existing folder: of each weight how far the base is from what the merged model lets expect, and
 * everything of the base's files that no merged weight says anything of.
 *
 * @returns bytes of the record
 */
export async function writeBaseRecord(folder: string, merge: RestorableMerge): Promise<number> {
  const { base, adapter, adapterName } = merge;
  const sources = await baseFiles(merge);
  const total = sources.reduce((sum, { source }) => sum + source.size, 0);
  const files: RecordedFile[] = [];
  const forms: RecordedForm[] = [];
  let dataBytes = 0;
  await writeStreamAtomic(join(folder, RECORD_DATA), async (sink) => {
    const out = new PieceWriter(sink);
    const recorder = new Recorder(merge, out, forms, total);
    for (const { name, source } of sources) files.push(await recorder.file(name, source));
    dataBytes = out.bytes;
  });
  const record: BaseRecord = {
    format: "lorikeet-unmerge",
    version: 1,
    base: { name: base.name, kind: base.kind },
    adapter: { name: adapterName, sha256: fingerprintOf(adapter), layers: adapter.layers.length },
    files,
    forms,
  };
  const index = `${JSON.stringify(record)}\n`;
  await writeFileAtomic(join(folder, RECORD_INDEX), index);
  return dataBytes + Buffer.byteLength(index);
}

/** The files of weights, and of a folder those that say what the model is. */
async function baseFiles({ base: { kind, path, checkpoint } }: RestorableMerge): Promise<{ name: string; source: ByteSource }[]> {
  const weights = new Map<string, ByteSource>();
  for (const { source } of checkpoint.tensors.values()) if (source instanceof FileByteSource) weights.set(source.name, source);
  const files = [...weights.values()].map((source) => ({ name: basename(source.name), source }));
  if (kind === "gguf") return files;
  for (const name of [...companionFiles, ...licences, INDEX]) {
    const place = join(path, name);
    if (await exists(place)) files.push({ name, source: await FileByteSource.open(place) });
  }
  return files;
}

class Recorder {
  readonly #merge: RestorableMerge;
  readonly #out: PieceWriter;
  readonly #forms: RecordedForm[];
  readonly #layers: ReadonlyMap<string, AdapterLayer>;
  readonly #digests = new Map<string, string>();
  readonly #total: number;
  #done = 0;

  constructor(merge: RestorableMerge, out: PieceWriter, forms: RecordedForm[], total: number) {
    this.#merge = merge;
    this.#out = out;
    this.#forms = forms;
    this.#layers = layersByWeight(merge.adapter);
    this.#total = total;
  }

  /** A file as segments: its tensors that have a merged counterpart, and what lies between them. */
  async file(name: string, source: ByteSource): Promise<RecordedFile> {
    const segments: RecordedFile["segments"] = [];
    let at = 0;
    for (const { tensor, merged } of this.#predictable(source)) {
      if (tensor.offset < at) continue; // the same bytes under a second name
      if (tensor.offset > at) segments.push(await this.#kept(source, at, tensor.offset - at));
      segments.push(await this.#tensor(tensor, merged));
      at = tensor.offset + tensor.byteLength;
    }
    if (at < source.size) segments.push(await this.#kept(source, at, source.size - at));
    return { name, bytes: source.size, sha256: await sha256Of(source), segments };
  }

  #predictable(source: ByteSource): { tensor: StoredTensor; merged: StoredTensor }[] {
    const { base, merged, table } = this.#merge;
    const counterpart = (name: string) =>
      merged.tensors.get(name) ?? (name === HEAD && table !== undefined ? merged.tensors.get(table) : undefined);
    return [...base.checkpoint.tensors.values()]
      .filter((tensor) => tensor.source.name === source.name && tensor.byteLength > 0)
      .flatMap((tensor) => {
        const found = counterpart(tensor.name);
        return found !== undefined && elementCount(found.shape) === elementCount(tensor.shape) ? [{ tensor, merged: found }] : [];
      })
      .sort((one, other) => one.tensor.offset - other.tensor.offset);
  }

  async #kept(source: ByteSource, offset: number, bytes: number): Promise<RecordedFile["segments"][number]> {
    const kept: [number, number][] = [];
    for await (const piece of piecesOf(source, offset, bytes)) {
      kept.push(await this.#out.put(piece));
      this.#advance(piece.length);
    }
    return { bytes, kept };
  }

  async #tensor(tensor: StoredTensor, merged: StoredTensor): Promise<RecordedTensor> {
    const { type, shape, interleavedHeads, isTransposed, addend, source, offset, byteLength: bytes } = tensor;
    const correction = correctionOf(type);
    const pieces: RecordedTensor["pieces"] = [];
    const layer = merged.name === tensor.name ? this.#layers.get(tensor.name) : undefined;
    const change = layer && (await this.#changeOf(layer, tensor.name));
    let at = 0;
    for await (const predicted of predictedWeights(tensor, merged, this.#merge.merged, change)) {
      const length = (predicted.length / storedFormats[type].weights) * storedFormats[type].bytes;
      const stored = await source.read(offset + at, length);
      if (await isSame(tensor, merged, at, stored)) pieces.push({ how: "same" });
      else if (correction === undefined) pieces.push({ how: "kept", at: await this.#out.put(stored) });
      else pieces.push({ how: "corrected", at: await this.#out.put(correction.encode(stored, predicted)) });
      at += length;
      this.#advance(length);
    }
    const layout = {
      ...(interleavedHeads === undefined ? {} : { interleavedHeads }),
      ...(isTransposed === undefined ? {} : { isTransposed }),
      ...(addend === undefined ? {} : { addend }),
    };
    const about = { merged: merged.name, mergedSha256: await this.#digest(merged), ...(layer === undefined ? {} : { layer: layer.name }) };
    return { bytes, type, shape: [...shape], ...about, ...layout, pieces };
  }

  /** What the adapter did to a layer's weight; kept where it cannot be computed without that. */
  async #changeOf(layer: AdapterLayer, weight: string): Promise<InferenceForm> {
    let dependsOnWeight = false;
    const form = await variantOf(this.#merge.adapter.config.method).inference(layer, () => {
      dependsOnWeight = true;
      return this.#merge.base.checkpoint.readFloat32(weight);
    });
    if (dependsOnWeight) this.#forms.push(await this.#keptForm(layer.name, form));
    return form;
  }

  async #keptForm(layer: string, { rank, scale, a, b, gain }: InferenceForm): Promise<RecordedForm> {
    const put = (values: Float32Array) => this.#out.put(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    const places = { a: await put(a), b: await put(b), ...(gain === undefined ? {} : { gain: await put(gain) }) };
    return { layer, rank, scale, outputs: b.length / rank, inputs: a.length / rank, ...places };
  }

  async #digest(merged: StoredTensor): Promise<string> {
    const known = this.#digests.get(merged.name);
    const digest = known ?? (await sha256Of(merged.source, merged.offset, merged.byteLength));
    this.#digests.set(merged.name, digest);
    return digest;
  }

  #advance(bytes: number): void {
    this.#merge.signal?.throwIfAborted();
    this.#done += bytes;
    this.#merge.onProgress?.({ done: this.#done, total: this.#total });
  }
}

/** Whether the merged model's file has the same bytes at the same place of the tensor. */
async function isSame(tensor: StoredTensor, merged: StoredTensor, at: number, stored: Uint8Array): Promise<boolean> {
  if (merged.type !== tensor.type || merged.byteLength !== tensor.byteLength) return false;
  const theirs = await merged.source.read(merged.offset + at, stored.length);
  return Buffer.compare(theirs, stored) === 0;
}
