import { dirname } from "node:path";
import * as z from "zod";
import { InputError } from "../../errors.js";
import { makeFolder } from "../../files/node/make-folder.js";
import { parseJsonText } from "../../files/parse-json.js";
import { readStoredTensor } from "../../weights/checkpoint.js";
import { FileByteSource } from "../../weights/node/file-byte-source.js";
import { writeSafetensors } from "../../weights/node/write-safetensors.js";
import { readSafetensorsHeader } from "../../weights/safetensors.js";
import type { TrainerState } from "../trainer.js";

// A checkpoint is one safetensors file, so that it is replaced whole or not at all: vectors `trainables`, `best` and
// `optimizer.*`, and in its metadata the numbers, the data cursor and what the run was.

/** What must be equal for a resumed run to give the very numbers of an uninterrupted one. */
export interface RunIdentity {
  /** What the run is: a difference makes it another run, and is refused. */
  readonly run: Readonly<Record<string, unknown>>;
  /** What executes it: a difference may change the last bits, and is said. */
  readonly machine: Readonly<Record<string, unknown>>;
}

export interface SavedCheckpoint {
  readonly identity: RunIdentity;
  readonly state: TrainerState;
}

const METADATA_KEY = "lorikeet.checkpoint";
const FORMAT = 1;

const metadataSchema = z.strictObject({
  format: z.literal(FORMAT),
  identity: z.strictObject({ run: z.record(z.string(), z.unknown()), machine: z.record(z.string(), z.unknown()) }),
  progress: z.strictObject({
    step: z.int().nonnegative(),
    batches: z.int().nonnegative(),
    seconds: z.number().nonnegative(),
    tokens: z.int().nonnegative(),
    evaluatedStep: z.int().nonnegative(),
    bestLoss: z.number().optional(),
    bestStep: z.int().nonnegative().optional(),
  }),
  cursor: z.strictObject({
    seed: z.int(),
    epoch: z.int().nonnegative(),
    position: z.int().nonnegative(),
    batchSize: z.int().positive(),
    examples: z.int().positive(),
  }),
});

/** Writes a checkpoint whole; a failure leaves the one before. */
export async function saveCheckpoint(path: string, { identity, state }: SavedCheckpoint): Promise<void> {
  await makeFolder(dirname(path));
  const { progress, cursor } = state;
  const vectors = [
    ["trainables", state.trainables] as const,
    ...(state.best === undefined ? [] : [["best", state.best] as const]),
    ...Object.entries(state.optimizer).map(([name, vector]) => [`${OPTIMIZER}${name}`, vector] as const),
  ];
  const entries = vectors.map(([name, vector]) => ({ name, dtype: "F32" as const, shape: [vector.length], data: () => vector }));
  await writeSafetensors(path, entries, { [METADATA_KEY]: JSON.stringify({ format: FORMAT, identity, progress, cursor }) });
}

const OPTIMIZER = "optimizer.";

/** @throws InputError where the file is missing, damaged, or no checkpoint. */
export async function loadCheckpoint(path: string): Promise<SavedCheckpoint> {
  const source = await FileByteSource.open(path);
  const header = await readSafetensorsHeader(source);
  const metadata = parseMetadata(path, header.metadata[METADATA_KEY]);
  const vectors = new Map<string, Float32Array>();
  for (const tensor of header.tensors) vectors.set(tensor.name, await readStoredTensor(tensor));
  const trainables = vectors.get("trainables");
  if (trainables === undefined) throw new InputError(`${path} is no checkpoint of training: it holds no trainable values.`);
  for (const [name, { length }] of vectors) {
    if (length !== trainables.length) {
      throw new InputError(
        `${path} is damaged: "${name}" has ${length} values, the trainables have ${trainables.length}. Start again without --resume.`,
      );
    }
  }
  const optimizer = [...vectors]
    .filter(([name]) => name.startsWith(OPTIMIZER))
    .map(([name, vector]) => [name.slice(OPTIMIZER.length), vector]);
  const { progress, cursor, identity } = metadata;
  return {
    identity,
    state: { progress, cursor, trainables, best: vectors.get("best"), optimizer: Object.fromEntries(optimizer) },
  };
}

function parseMetadata(path: string, text: string | undefined): z.infer<typeof metadataSchema> {
  const wrong = `${path} is no checkpoint that this version of lorikeet can resume`;
  if (text === undefined) throw new InputError(`${wrong}: it says nothing about a run. Start again without --resume.`);
  let value: unknown;
  try {
    value = parseJsonText(text);
  } catch (cause) {
    throw new InputError(`${wrong}: its description is not JSON. Start again without --resume.`, { cause });
  }
  const parsed = metadataSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new InputError(`${wrong}: ${z.prettifyError(parsed.error)}. Start again without --resume.`);
}

/** Names of the entries in which two records differ, with both values. */
export function differences(saved: Readonly<Record<string, unknown>>, now: Readonly<Record<string, unknown>>): string[] {
  const names = [...new Set([...Object.keys(saved), ...Object.keys(now)])];
  return names.flatMap((name) => {
    const [before, after] = [JSON.stringify(saved[name]), JSON.stringify(now[name])];
    return before === after ? [] : [`${name} was ${before ?? "absent"}, is ${after ?? "absent"}`];
  });
}
