import { dequantise } from "../weights/stored-types.js";
import { encodeValues, type WrittenType } from "../weights/written-types.js";
import { sumOfSquares } from "./kernels/task-tensors.js";

/** What writing merged weights in fewer bits did to them, over all adapted layers; Frobenius norms. */
export interface MergeRounding {
  /** ‖written − merged‖ / ‖merged‖. */
  readonly ofWeights: number;
  /** ‖written − merged‖ / ‖merged − base‖: how large the rounding is beside what the adapter changes; 0 where that is nothing. */
  readonly ofChange: number;
}

/** Adds up what is lost while merged weights are written. */
export interface RoundingMeter {
  /** Tells it of a layer that was merged: W before and after. */
  merged(before: Float32Array, after: Float32Array): void;
  /** Encodes merged weights, and measures what that does to them. */
  encode(type: WrittenType, values: Float32Array, where: string): Uint8Array;
  /** What has been found so far. */
  result(): MergeRounding;
}

export function createRoundingMeter(): RoundingMeter {
  let [change, weights, error] = [0, 0, 0];
  return {
    merged(before, after) {
      change += sumOfSquares(after.map((value, at) => value - (before[at] ?? 0)));
      weights += sumOfSquares(after);
    },
    encode(type, values, where) {
      const bytes = encodeValues(type, values, where);
      if (type !== "F32") {
        const written = dequantise(type, bytes, values.length);
        error += sumOfSquares(written.map((value, at) => value - (values[at] ?? 0)));
      }
      return bytes;
    },
    result: () => ({
      ofWeights: weights === 0 ? 0 : Math.sqrt(error / weights),
      ofChange: change === 0 ? 0 : Math.sqrt(error / change),
    }),
  };
}
