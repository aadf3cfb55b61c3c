import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Batch } from "../../src/data/batch.js";
import { type AdapterLayout, buildLayout, viewOf } from "../../src/lora/layout.js";
import type { LanguageModelGraph } from "../../src/models/architecture.js";
import { readLanguageModel } from "../../src/models/index.js";
import type { StoredWeight } from "../../src/runtime/emit.js";
import type { Checkpoint } from "../../src/weights/checkpoint.js";
import { mapWeights } from "../../src/weights/node/mapped-weights.js";
import { openSafetensorsFile, openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { golden, goldenPath } from "./golden.js";

export const tinyModelNames = ["tiny-llama", "tiny-llama3"] as const;
export type TinyModelName = (typeof tinyModelNames)[number];

/** Rank and scale (alpha / rank) of the adapters that tests/golden/make.py saves. */
export const TINY_RANK = 4;
export const TINY_SCALE = 2;

/** One batch of golden.json: labels are unshifted, −100 where nothing is supervised. */
export interface GoldenBatch {
  readonly input_ids: readonly (readonly number[])[];
  readonly attention_mask: readonly (readonly number[])[];
  readonly labels: readonly (readonly number[])[];
  /** Where sequences are padded on the left. */
  readonly position_ids?: readonly (readonly number[])[];
}

interface Trajectory {
  readonly options: Readonly<Record<string, number>>;
  readonly steps: number;
  readonly loss: readonly number[];
  readonly gradientNorm: readonly number[];
}

/** golden.json of a tiny model; tests/golden/README.md says what stands in it. */
export interface TinyFacts {
  readonly batches: readonly GoldenBatch[];
  readonly base: { readonly sum: number; readonly count: number; readonly mean: number };
  readonly adapted: { readonly sum: number; readonly count: number; readonly mean: number };
  readonly generation: {
    readonly prompt: readonly number[];
    readonly base: { readonly ids: readonly number[]; readonly smallestLead: number };
    readonly adapted: { readonly ids: readonly number[]; readonly smallestLead: number };
  };
  readonly trajectories: { readonly adamw: Trajectory; readonly sgd: Trajectory };
}

/** A tiny model with what transformers and PEFT computed of it. */
export interface TinyModel {
  readonly folder: string;
  readonly model: LanguageModelGraph;
  readonly checkpoint: Checkpoint;
  /** Weights as the engine maps them, out of the files in `weightsFolder`. */
  readonly weights: (name: string) => StoredWeight;
  readonly weightsFolder: string;
  /** The tensors of golden.safetensors. */
  readonly golden: Checkpoint;
  readonly facts: TinyFacts;
  readonly layout: AdapterLayout;
  /** The adapter that PEFT saved, A and B random, as a flat vector. */
  readonly adapter: Float32Array<ArrayBuffer>;
}

/** Reads a tiny model of tests/golden, its adapter and its goldens. */
export async function loadTinyModel(name: TinyModelName, configFile = "config.json"): Promise<TinyModel> {
  const folder = goldenPath(name);
  const model = readLanguageModel(golden<Record<string, unknown>>(`${name}/${configFile}`));
  const checkpoint = await openSafetensorsFolder(folder);
  const mapped = await mapWeights(checkpoint, { cacheFolder: join(tmpdir(), "lorikeet-tests") });
  const layout = buildLayout(model.linearGroups.map((group) => group.map((layer) => ({ ...layer, rank: TINY_RANK, scale: TINY_SCALE }))));
  const saved = await openSafetensorsFile(join(folder, "adapter", "adapter_model.safetensors"));
  return {
    folder,
    model,
    checkpoint,
    weights: (weight) => {
      const place = mapped.get(weight);
      if (place === undefined) throw new Error(`${name} has no weight ${weight}`);
      return { dtype: place.dtype, shape: place.shape, data: { file: place.file, offset: place.offset, byteLength: place.byteLength } };
    },
    weightsFolder: folder,
    golden: await openSafetensorsFile(join(folder, "golden.safetensors")),
    facts: golden<TinyFacts>(`${name}/golden.json`),
    layout,
    adapter: await adapterVector(layout, saved, "base_model.model."),
  };
}

/** The matrices of a layout, read by name behind a prefix, as one flat vector. */
export async function adapterVector(layout: AdapterLayout, tensors: Checkpoint, prefix: string): Promise<Float32Array<ArrayBuffer>> {
  const vector = new Float32Array(layout.length);
  for (const [name, entry] of layout.entries) viewOf(vector, entry).set(await tensors.readFloat32(`${prefix}${name}`));
  return vector;
}

/** A golden batch as examples, without its padding. */
export function examplesOf({ input_ids, attention_mask, labels }: GoldenBatch): { ids: Int32Array; supervised: Uint8Array }[] {
  return input_ids.map((row, b) => {
    const real = (_: number, t: number) => attention_mask[b]?.[t] === 1;
    return {
      ids: Int32Array.from(row.filter(real)),
      supervised: Uint8Array.from(labels[b]?.filter(real) ?? [], (label) => Number(label !== -100)),
    };
  });
}

/** A golden batch as programs over whole sequences are fed it: one example a row. */
export function batchOf({ input_ids, attention_mask, labels, position_ids = input_ids.map((row) => [...row.keys()]) }: GoldenBatch): Batch {
  const batch = input_ids.length;
  const tokens = input_ids[0]?.length ?? 0;
  const supervised = labels.flatMap((row, b) =>
    row.flatMap((label, t) => (t > 0 && label !== -100 ? [{ row: b * tokens + t - 1, target: label }] : [])),
  );
  return {
    batch,
    tokens,
    ids: BigInt64Array.from(input_ids.flat(), BigInt),
    positions: BigInt64Array.from(position_ids.flat(), BigInt),
    segments: Float32Array.from(attention_mask.flat()),
    supervisedRows: BigInt64Array.from(supervised, ({ row }) => BigInt(row)),
    targets: BigInt64Array.from(supervised, ({ target }) => BigInt(target)),
    weights: new Float32Array(supervised.length).fill(1),
    supervisedCount: supervised.length,
    exampleTokens: attention_mask.flat().filter((mask) => mask === 1).length,
    longest: Math.max(...attention_mask.map((row) => row.filter((mask) => mask === 1).length)),
  };
}
