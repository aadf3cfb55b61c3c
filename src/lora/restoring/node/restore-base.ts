import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../../../errors.js";
import type { ByteSource } from "../../../weights/byte-source.js";
import { type Checkpoint, elementCount, type StoredTensor } from "../../../weights/checkpoint.js";
import { correctionOf } from "../../../weights/corrections.js";
import type { FileSink } from "../../../weights/node/atomic-file.js";
import { exists } from "../../../weights/node/exists.js";
import { FileByteSource } from "../../../weights/node/file-byte-source.js";
import { storedByteLength, storedFormats } from "../../../weights/stored-types.js";
import type { Adapter, AdapterLayer } from "../../adapter.js";
import { variantOf } from "../../variants/index.js";
import type { InferenceForm } from "../../variants/variant.js";
import { predictedWeights } from "../prediction.js";
import { type BaseRecord, type Place, parseRecord, RECORD_DATA, RECORD_INDEX, type RecordedFile, type RecordedTensor } from "../record.js";
import { fingerprintOf, PIECE_BYTES, readPiece, sha256Of } from "./record-data.js";

/** Beyond it an index is damaged: it holds some hundred bytes for each tensor. */
const MAX_INDEX_BYTES = 2 ** 28;
/** Names of tensors that a message spells out. */
const LISTED = 3;

/** The record of a base, open. */
export interface OpenRecord {
  readonly record: BaseRecord;
  readonly data: ByteSource;
}

/** Opens the record in a folder; undefined where there is none. */
export async function openBaseRecord(folder: string): Promise<OpenRecord | undefined> {
  const path = join(folder, RECORD_INDEX);
  if (!(await exists(path))) return undefined;
  const { size } = await stat(path);
  if (size > MAX_INDEX_BYTES) throw new InputError(`${path} has ${size} bytes, more than the record of any base: it is damaged.`);
  return { record: parseRecord(path, await readFile(path, "utf8")), data: await FileByteSource.open(join(folder, RECORD_DATA)) };
}

/**
 * Throws InputError where an adapter is not the one that was folded in, or where the merged model is not as the merge left it: nothing
 * could be restored.
 */
export async function checkRestorable(
  { record }: OpenRecord,
  merged: Checkpoint,
  adapter: Adapter,
  { name, adapterName, signal }: { readonly name: string; readonly adapterName: string; readonly signal?: AbortSignal },
): Promise<void> {
  if (fingerprintOf(adapter) !== record.adapter.sha256) {
    throw new InputError(
      `${adapterName} is not the adapter that was folded into ${name}: that was ${record.adapter.name} (${record.adapter.layers} layers), and its numbers were others. Give that very adapter; a retrained, resized or converted one is another.`,
    );
  }
  const expected = new Map(
    record.files
      .flatMap(({ segments }) => segments.flatMap((segment) => ("merged" in segment ? [segment] : [])))
      .map((tensor) => [tensor.merged, tensor]),
  );
  const changed: string[] = [];
  for (const [tensorName, { mergedSha256 }] of expected) {
    signal?.throwIfAborted();
    const tensor = merged.tensors.get(tensorName);
    if (tensor === undefined || (await sha256Of(tensor.source, tensor.offset, tensor.byteLength)) !== mergedSha256)
      changed.push(tensorName);
  }
  if (changed.length === 0) return;
  throw new InputError(
    `${name} is not as the merge left it: ${changed.length} of ${expected.size} tensors differ, such as ${changed.slice(0, LISTED).join(", ")}. Its base can be restored only from the weights that were written; a model that was trained, rounded or merged again since is another.`,
  );
}

/** Restores the bytes of files of the base; see `checkRestorable`. */
export class BaseRestorer {
  readonly #open: OpenRecord;
  readonly #merged: Checkpoint;
  readonly #adapter: Adapter;
  readonly #layers: ReadonlyMap<string, AdapterLayer>;

  constructor(open: OpenRecord, merged: Checkpoint, adapter: Adapter) {
    this.#open = open;
    this.#merged = merged;
    this.#adapter = adapter;
    this.#layers = new Map(adapter.layers.map((layer) => [layer.name, layer]));
  }

  /** Writes a file of the base. Throws InputError where it is not, byte for byte, what it was. */
  async write(file: RecordedFile, sink: FileSink, onBytes: (bytes: number) => void): Promise<void> {
    const hash = createHash("sha256");
    let written = 0;
    for await (const piece of this.#bytesOf(file)) {
      if (written + piece.length > file.bytes) break; // pieces may be named more than once: a disk fills quickly
      hash.update(piece);
      await sink.write(piece);
      written += piece.length;
      onBytes(piece.length);
    }
    if (written !== file.bytes || hash.digest("hex") !== file.sha256) {
      throw new InputError(
        `${file.name} of the base did not come back as it was: ${this.#open.data.name} is damaged, or belongs to another merge. Nothing was written.`,
      );
    }
  }

  async *#bytesOf({ segments }: RecordedFile): AsyncGenerator<Uint8Array> {
    for (const segment of segments) {
      if ("merged" in segment) yield* this.#tensor(segment);
      else for (const place of segment.kept) yield await readPiece(this.#open.data, place, PIECE_BYTES);
    }
  }

  async *#tensor(recorded: RecordedTensor): AsyncGenerator<Uint8Array> {
    const { type, shape, pieces } = recorded;
    const merged = this.#merged.tensors.get(recorded.merged);
    if (
      merged === undefined ||
      elementCount(merged.shape) !== elementCount(shape) ||
      storedByteLength(type, elementCount(shape) ?? 0) !== recorded.bytes
    )
      throw this.#damaged();
    const layout = {
      shape,
      ...(recorded.interleavedHeads === undefined ? {} : { interleavedHeads: recorded.interleavedHeads }),
      ...(recorded.isTransposed === undefined ? {} : { isTransposed: recorded.isTransposed }),
      ...(recorded.addend === undefined ? {} : { addend: recorded.addend }),
    };
    let [index, at] = [0, 0];
    for await (const predicted of predictedWeights(layout, merged, this.#merged, await this.#changeOf(recorded.layer))) {
      const length = (predicted.length / storedFormats[type].weights) * storedFormats[type].bytes;
      yield await this.#piece(recorded, pieces[index++], predicted, { merged, at, length });
      at += length;
    }
    if (index !== pieces.length) throw this.#damaged();
  }

  async #piece(
    { type }: RecordedTensor,
    piece: RecordedTensor["pieces"][number] | undefined,
    predicted: Float32Array,
    { merged, at, length }: { readonly merged: StoredTensor; readonly at: number; readonly length: number },
  ): Promise<Uint8Array> {
    if (piece?.how === "same") return await merged.source.read(merged.offset + at, length);
    if (piece?.at === undefined) throw this.#damaged();
    if (piece.how === "kept") return await readPiece(this.#open.data, piece.at, length);
    const correction = correctionOf(type);
    if (correction === undefined) throw this.#damaged();
    const bytes = await readPiece(this.#open.data, piece.at, correction.mostBytes(predicted.length));
    try {
      return correction.apply(bytes, predicted);
    } catch (cause) {
      throw cause instanceof RangeError ? this.#damaged(cause) : cause;
    }
  }

  async #changeOf(name: string | undefined): Promise<InferenceForm | undefined> {
    if (name === undefined) return undefined;
    const layer = this.#layers.get(name);
    if (layer === undefined) throw this.#damaged();
    const form = this.#open.record.forms.find((each) => each.layer === layer.name);
    if (form !== undefined) {
      const values = async (place: Place, count: number) => {
        const bytes = await readPiece(this.#open.data, place, 4 * count);
        if (bytes.length !== 4 * count) throw this.#damaged();
        return new Float32Array(bytes.slice().buffer);
      };
      return {
        rank: form.rank,
        scale: form.scale,
        a: await values(form.a, form.rank * form.inputs),
        b: await values(form.b, form.rank * form.outputs),
        ...(form.gain === undefined ? {} : { gain: await values(form.gain, form.outputs) }),
      };
    }
    return await variantOf(this.#adapter.config.method).inference(layer, () => {
      throw this.#damaged();
    });
  }

  #damaged(cause?: unknown): InputError {
    return new InputError(`${this.#open.data.name} does not fit the record beside it: one of them is damaged. Take another copy.`, {
      cause,
    });
  }
}
