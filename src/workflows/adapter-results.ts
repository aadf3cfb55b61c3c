import type { Divergence } from "../evaluation/output-change.js";
import type { AdapterInspection } from "../lora/inspection.js";
import type { MergeRounding } from "../lora/merge-rounding.js";
import type { Spectrum } from "../lora/spectrum.js";

// What the workflows give that read and make adapters: plain clonable records, as in api.ts.

export interface MergeResult {
  readonly out: string;
  readonly files: readonly string[];
  readonly bytes: number;
  /** Layers whose weights changed. */
  readonly layers: number;
  /** What writing these layers in fewer bits did to them. */
  readonly rounding: MergeRounding;
  /** How far predictions of the next token are from those of base and adapter, in float32; absent where it was not asked for. */
  readonly outputs?: {
    /** What was predicted: `general` or a file. */
    readonly texts: string;
    readonly tokens: number;
    /** Of the merged file. */
    readonly file: Divergence;
    /** Of the base alone: how far the adapter moves it. */
    readonly base: Divergence;
  };
  /** What lets `unmerge` restore the base: the folder of the record, and its bytes. */
  readonly record?: { readonly folder: string; readonly bytes: number };
  readonly notes: readonly string[];
}

export interface UnmergeResult {
  readonly out: string;
  readonly files: readonly string[];
  readonly bytes: number;
  /** Layers that the adapter was taken out of. */
  readonly layers: number;
  /** Undefined where every file is the base's, byte for byte. */
  readonly approximate?: {
    /** No weight is further from the base's. */
    readonly largestDistance: number;
    /** The largest of these layers' weights, for comparison. */
    readonly largestWeight: number;
  };
  readonly notes: readonly string[];
}

export interface ExportResult {
  /** The folder or the file, absolute. */
  readonly out: string;
  readonly files: readonly string[];
  readonly bytes: number;
  /** Layers that the adapter sits at. */
  readonly layers: number;
  readonly notes: readonly string[];
}

export interface EjectResult {
  /** The folder, absolute. */
  readonly out: string;
  /** In what the program's numbers will differ from the run's. */
  readonly notes: readonly string[];
}

export interface ImportResult {
  readonly out: string;
  /** What was written, by the names of train's options. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Fields that change the run and could not be carried over, with the reason. */
  readonly lost: readonly { readonly field: string; readonly value: unknown; readonly why: string }[];
  /** Options that a run cannot begin without and that no file gave. */
  readonly missing: readonly string[];
}

/** An adapter that was made of others, or of models. */
export interface DerivedAdapter {
  /** Its folder, absolute. */
  readonly out: string;
  readonly files: readonly string[];
  readonly bytes: number;
  /** Values that it stores. */
  readonly parameters: number;
  /** What a person should know. */
  readonly notes: readonly string[];
}

/** How near a layer came to what was wanted of it. */
export interface DerivedLayer {
  readonly name: string;
  readonly rank: number;
  /** Frobenius norm of the change that was wanted. */
  readonly norm: number;
  /** How far the layer lies from it, as a share of that norm. */
  readonly relativeError: number;
}

export interface CombineResult extends DerivedAdapter {
  readonly type: string;
  readonly terms: readonly { readonly name: string; readonly weight: number }[];
  /** How far the adapter lies from the exact weighted sum, all layers together. */
  readonly relativeError: number;
  /** `reductionError`: the share that was lost where what was combined was reduced to a rank. */
  readonly layers: readonly (DerivedLayer & { readonly reductionError?: number })[];
}

export interface ResizeResult extends DerivedAdapter {
  /** The share of the adapter's change that is lost, all layers together. */
  readonly relativeError: number;
  readonly layers: readonly (DerivedLayer & { readonly formerRank: number })[];
}

export interface ConvertResult extends DerivedAdapter {
  readonly layers: readonly { readonly name: string; readonly rank: number }[];
}

export interface ExtractResult extends DerivedAdapter {
  /** The share of the difference in linear layers that the adapter lacks, all layers together. */
  readonly relativeError: number;
  readonly layers: readonly DerivedLayer[];
  /** Linear layers without a difference. */
  readonly unchanged: number;
  /** Tensors outside the linear layers that differ, and that the adapter does not hold. */
  readonly leftOut: readonly string[];
}

export interface InspectResult extends AdapterInspection {
  readonly directory: string;
  /** Size of the adapter's weights file. */
  readonly bytes: number;
  /** The adapter that it was compared with. */
  readonly with?: string;
  /** The page that was written. */
  readonly html?: string;
  /** What a person should know, such as layers that only one of two adapters has. */
  readonly notes: readonly string[];
}

export interface RankResult extends Spectrum {
  readonly file: string;
  readonly tensor?: string;
  /** The best approximation of the rank that was asked for, M ≈ B·C. */
  readonly factors?: { readonly rank: number; readonly b: readonly (readonly number[])[]; readonly c: readonly (readonly number[])[] };
  /** Where the factors were written. */
  readonly files?: readonly string[];
}
