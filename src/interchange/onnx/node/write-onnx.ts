import { dirname, join } from "node:path";
import { encodeModel, type OnnxInitializer, type OnnxModel } from "../../../onnx/model.js";
import type { StoredWeight } from "../../../runtime/emit.js";
import { writeFileAtomic, writeStreamAtomic } from "../../../weights/node/atomic-file.js";
import type { WeightForms } from "../weight-forms.js";
import type { WeightPart } from "../weight-part.js";

/** Weights up to this many bytes lie in the model's file: one is easier to carry than two. More are streamed, and never in memory as a whole. */
export const INLINE_BYTES = 2 ** 28;
/** External tensors begin at multiples of this. */
const ALIGNMENT = 64;

export interface OnnxFileOptions {
  /** Bytes of weights beyond which they lie in files beside; `INLINE_BYTES` by default. */
  readonly inlineBytes?: number | undefined;
  /** Most bytes of such a file, but for a tensor that is larger. */
  readonly maxFileBytes: number;
  /** Told of the bytes of weights that are written. */
  readonly onBytes: (bytes: number) => void;
}

/** Bytes of all weights. */
export const bytesOfParts = ({ parts }: WeightForms): number => parts.reduce((sum, { byteLength }) => sum + byteLength, 0);

/**
 * Writes an ONNX model, and where its weights are many, files beside it under the names that transformers.js looks for:
 * `model.onnx_data`, `model.onnx_data_1`, …
 *
 * @param path of the model
 * @param build the model, given how its weights are stored
 * @returns how many files with weights lie beside it
 */
export async function writeOnnx(
  path: string,
  forms: WeightForms,
  build: (weights: (name: string) => StoredWeight) => OnnxModel,
  options: OnnxFileOptions,
): Promise<number> {
  const { inlineBytes = INLINE_BYTES } = options;
  const write = (places: ReadonlyMap<WeightPart, OnnxInitializer["data"]>) => {
    const placeOf = (part: WeightPart) => {
      const place = places.get(part);
      if (place === undefined) throw new Error("a weight has no place in the file");
      return place;
    };
    return writeFileAtomic(path, encodeModel(build((name) => forms.stored(name, placeOf))));
  };
  if (bytesOfParts(forms) <= inlineBytes) {
    await write(await inMemory(forms, options));
    return 0;
  }
  const name = path.slice(dirname(path).length + 1);
  const files = laidOut(forms.parts, options.maxFileBytes, (index) => `${name}_data${index === 0 ? "" : `_${index}`}`);
  for (const { file, parts } of files) await writeParts(join(dirname(path), file), parts, options);
  await write(
    new Map(files.flatMap(({ file, parts }) => [...parts].map(([part, offset]) => [part, { file, offset, byteLength: part.byteLength }]))),
  );
  return files.length;
}

async function inMemory({ parts }: WeightForms, { onBytes }: OnnxFileOptions): Promise<ReadonlyMap<WeightPart, Uint8Array>> {
  const places = new Map<WeightPart, Uint8Array>();
  for (const part of parts) {
    const bytes = new Uint8Array(part.byteLength);
    let at = 0;
    for await (const piece of part.data()) {
      bytes.set(piece, at);
      at += piece.byteLength;
      onBytes(piece.byteLength);
    }
    expectWhole(part, at);
    places.set(part, bytes);
  }
  return places;
}

interface DataFile {
  readonly file: string;
  /** Where each part begins. */
  readonly parts: Map<WeightPart, number>;
}

/** Fills files with parts in their order. */
function laidOut(parts: readonly WeightPart[], maxBytes: number, nameOf: (index: number) => string): readonly DataFile[] {
  const files: DataFile[] = [];
  let end = 0;
  for (const part of parts) {
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    const last = files.at(-1);
    if (last === undefined || offset + part.byteLength > maxBytes) {
      files.push({ file: nameOf(files.length), parts: new Map([[part, 0]]) });
      end = part.byteLength;
    } else {
      last.parts.set(part, offset);
      end = offset + part.byteLength;
    }
  }
  return files;
}

async function writeParts(path: string, parts: DataFile["parts"], { onBytes }: OnnxFileOptions): Promise<void> {
  await writeStreamAtomic(path, async (sink) => {
    let at = 0;
    for (const [part, offset] of parts) {
      await sink.write(new Uint8Array(offset - at));
      at = offset;
      for await (const piece of part.data()) {
        await sink.write(piece);
        at += piece.byteLength;
        onBytes(piece.byteLength);
      }
      expectWhole(part, at - offset);
    }
  });
}

function expectWhole({ byteLength, shape }: WeightPart, written: number): void {
  if (written !== byteLength) throw new RangeError(`${written} bytes were given for a tensor [${shape.join(", ")}] of ${byteLength}`);
}
