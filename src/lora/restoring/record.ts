import * as z from "zod";
import { InputError } from "../../errors.js";
import { type StoredType, storedTypeNames } from "../../weights/stored-types.js";

// What a merge keeps of its base so that the adapter can be taken out again, bit for bit: `base.json`, which this file describes, and
// `base.bin`, to whose places it points. All pieces there are deflated.

/** The record's folder: inside a merged folder, or beside a GGUF with its name and this ending. */
export const RECORD = "unmerge";
export const RECORD_INDEX = "base.json";
export const RECORD_DATA = "base.bin";

/** A file, a tensor or a number of pieces beyond which a record is damaged rather than large. */
const MAX_BYTES = 2 ** 50;
const MAX_FILES = 10_000;
const MAX_PIECES = 1_000_000;

const whole = z.number().int().min(0).max(MAX_BYTES);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
/** A file in the base's folder or in one below it; nothing outside. */
const fileName = z.string().regex(/^(?!\.)[^/\\\0]{1,255}(\/(?!\.)[^/\\\0]{1,255})?$/);
/** Where a piece lies in `base.bin`: its first byte, and its bytes. */
const place = z.tuple([whole, whole]);

const piece = z.object({
  /** `same`: the bytes of the merged tensor; `kept`: as they are in `base.bin`; `corrected`: the prediction with what is there. */
  how: z.enum(["same", "kept", "corrected"]),
  at: place.optional(),
});

const tensor = z.object({
  bytes: whole,
  type: z.enum(storedTypeNames as [StoredType, ...StoredType[]]),
  shape: z.array(whole).max(8),
  /** The merged model's tensor, and what its bytes in the file must be. */
  merged: z.string(),
  mergedSha256: sha256,
  /** The layer of the adapter that changed it. */
  layer: z.string().optional(),
  interleavedHeads: z.number().int().min(1).max(65_536).optional(),
  isTransposed: z.literal(true).optional(),
  addend: z.number().optional(),
  pieces: z.array(piece).max(MAX_PIECES),
});

/** What a file is made of, in order: bytes that are kept (headers, and what no merged tensor says anything of), and tensors. */
const segment = z.union([z.object({ bytes: whole, kept: z.array(place).max(MAX_PIECES) }), tensor]);

const file = z.object({ name: fileName, bytes: whole, sha256, segments: z.array(segment).max(MAX_PIECES) });

/** What an adapter's layer did where that depends on W: A, B and gain as float32 numbers. */
const form = z.object({
  layer: z.string(),
  rank: z.number().int().min(1).max(65_536),
  scale: z.number(),
  a: place,
  b: place,
  gain: place.optional(),
  outputs: whole,
  inputs: whole,
});

const record = z.object({
  format: z.literal("lorikeet-unmerge"),
  version: z.literal(1),
  /** The base as the person named it, and what its weights lie in. */
  base: z.object({ name: z.string(), kind: z.enum(["folder", "gguf"]) }),
  adapter: z.object({ name: z.string(), sha256, layers: whole }),
  files: z.array(file).min(1).max(MAX_FILES),
  forms: z.array(form),
});

export type BaseRecord = z.infer<typeof record>;
export type RecordedFile = z.infer<typeof file>;
export type RecordedTensor = z.infer<typeof tensor>;
export type RecordedForm = z.infer<typeof form>;
export type Place = z.infer<typeof place>;

/** @throws InputError where the text is no record, or of a later version. */
export function parseRecord(path: string, text: string): BaseRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new InputError(`${path} is not JSON: the record of the base is damaged, and nothing can be restored by it.`, { cause });
  }
  const parsed = record.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new InputError(
    `${path} is no record of a base that this version reads (${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}). It is damaged, or was written by a later version of Lorikeet.`,
  );
}
