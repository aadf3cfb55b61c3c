import { dequantise } from "../weights/stored-types.js";
import { encodeValues, type WrittenType } from "../weights/written-types.js";
import { dotProduct, sumOfSquares } from "./kernels/task-tensors.js";

/** What writing merged weights in fewer bits did to them; Frobenius norms. */
export interface Rounding {
  /** ‖written − merged‖ / ‖merged‖. */
  readonly ofWeights: number;
  /** ‖written − merged‖ / ‖merged − base‖: how large the rounding is beside what the adapter changes; 0 where that is nothing. */
  readonly ofChange: number;
  /** ‖merged − base‖ / ‖merged‖. */
  readonly change: number;
  /**
   * How much of the change is in the file: (written − base) along (merged − base), as a share of it. 1 where rounding only adds noise; near 0
   * where each weight falls back onto the step that it had in the base. 1 where there is no change.
   */
  readonly arrived: number;
}

/** The same of the weights of one kind, by the end of their names, in one type; no adapter need have changed them. */
export interface KindRounding extends Rounding {
  readonly kind: string;
  /** `Q8_0`, say, or `q4` of an ONNX file. */
  readonly type: string;
  readonly isAdapted: boolean;
}

/** Of all adapted layers, and of each kind of weights that was written anew. */
export interface MergeRounding extends Rounding {
  readonly kinds: readonly KindRounding[];
}

/** Adds up what is lost while merged weights are written. */
export interface RoundingMeter {
  /** Tells it of a layer's weight that was merged: W before and after. */
  merged(weight: string, before: Float32Array, after: Float32Array): void;
  /**
   * Encodes weights, and measures what that does to them.
   *
   * @param weight its name
   * @param arrange how the file orders what `merged` was told
   */
  encode(type: WrittenType, values: Float32Array, weight: string, arrange?: (values: Float32Array) => Float32Array): Uint8Array;
  /** The same where weights were encoded elsewhere: what they were, and what their codes say, in the order of `merged`. */
  rounded(type: string, values: Float32Array, weight: string, written: Float32Array): void;
  /** What has been found so far. */
  result(): MergeRounding;
}

/** Sums of squares, and of products of the error with the change. */
interface Sums {
  change: number;
  weights: number;
  error: number;
  along: number;
}

/** The kind of a layer: `q_proj` of `model.layers.3.self_attn.q_proj.weight`. */
const kindOf = (weight: string): string => weight.replace(/\.weight$/, "").replace(/^.*\./, "");

export function createRoundingMeter(): RoundingMeter {
  const kinds = new Map<string, Pick<KindRounding, "kind" | "type" | "isAdapted"> & { readonly sums: Sums }>();
  const changes = new Map<string, Float32Array>(); // of weights that are not encoded yet
  const sumsOf = (kind: string, type: string, isAdapted: boolean): Sums => {
    const key = `${kind} ${type} ${isAdapted}`;
    const entry = kinds.get(key) ?? { kind, type, isAdapted, sums: { change: 0, weights: 0, error: 0, along: 0 } };
    kinds.set(key, entry);
    return entry.sums;
  };
  /** @param written absent where nothing was rounded */
  const measure = (
    type: string,
    values: Float32Array,
    weight: string,
    written?: Float32Array,
    arrange = (change: Float32Array) => change,
  ) => {
    const change = changes.get(weight);
    const sums = sumsOf(kindOf(weight), type, change !== undefined);
    changes.delete(weight);
    sums.change += sumOfSquares(change ?? []);
    sums.weights += sumOfSquares(values);
    if (written === undefined) return;
    const error = written.map((value, at) => value - (values[at] ?? 0));
    sums.error += sumOfSquares(error);
    if (change !== undefined) sums.along += dotProduct(error, arrange(change));
  };
  return {
    merged(weight, before, after) {
      changes.set(
        weight,
        after.map((value, at) => value - (before[at] ?? 0)),
      );
    },
    encode(type, values, weight, arrange) {
      const bytes = encodeValues(type, values, weight);
      if (type !== "F32") measure(type, values, weight, dequantise(type, bytes, values.length), arrange);
      else if (changes.has(weight)) measure(type, values, weight);
      return bytes;
    },
    rounded: (type, values, weight, written) => measure(type, values, weight, written),
    result: () => {
      const each = [...kinds.values()];
      const total = (key: keyof Sums) => each.reduce((sum, { sums, isAdapted }) => sum + (isAdapted ? sums[key] : 0), 0);
      const all = { change: total("change"), weights: total("weights"), error: total("error"), along: total("along") };
      return { ...roundingOf(all), kinds: each.map(({ sums, ...kind }) => ({ ...kind, ...roundingOf(sums) })) };
    },
  };
}

function roundingOf({ change, weights, error, along }: Sums): Rounding {
  const share = (part: number, whole: number) => (whole === 0 ? 0 : Math.sqrt(part / whole));
  return {
    ofWeights: share(error, weights),
    ofChange: share(error, change),
    change: share(change, weights),
    arrived: change === 0 ? 1 : 1 + along / change,
  };
}
