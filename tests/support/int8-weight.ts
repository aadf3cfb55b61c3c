import type { Int8Part, Int8Weight } from "../../src/graph/op.js";
import type { StoredInt8, StoredWeight } from "../../src/runtime/emit.js";
import { backwardEncoder, forwardEncoder, raiseColumnMaxima } from "../../src/weights/kernels/int8.js";

type Part = StoredInt8["parts"] extends ReadonlyMap<string, infer P> ? P : never;

/** How a test rounds a weight's input. */
export interface Rounded {
  readonly range: Int8Weight["range"];
  /** Factors on the channels; all one by default. */
  readonly smooth?: Float32Array<ArrayBuffer>;
}

/** W [out, in] in memory, in float32 and in int8. */
export function int8Weight(
  weight: Float32Array<ArrayBuffer>,
  [outputs, inputs]: readonly [number, number],
  { range, smooth = new Float32Array(inputs).fill(1) }: Rounded,
): StoredWeight {
  const unmeasured = { mean: new Float64Array(inputs), variance: new Float64Array(inputs) }; // every value takes the nearest code
  const maxima = new Float32Array(inputs);
  raiseColumnMaxima(maxima, weight);
  const [forward, backward] = [forwardEncoder(outputs, smooth, unmeasured), backwardEncoder(outputs, maxima)];
  for (const encoder of [forward, backward]) encoder.addRows(weight, 0);
  const parts = new Map<Int8Part, Part>([
    ["smooth", part("float32", [inputs], smooth)],
    ["forwardCodes", part("int8", [inputs, outputs], forward.codes)],
    ["forwardScales", part("float32", [outputs], forward.scales)],
    ["backwardCodes", part("int8", [outputs, inputs], backward.codes)],
    ["backwardScales", part("float32", [inputs], backward.scales)],
  ]);
  return { dtype: "float32", shape: [outputs, inputs], data: bytesOf(weight), int8: { range, parts } };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBuffer>) => new Uint8Array(buffer, byteOffset, byteLength);

const part = (dtype: Part["dtype"], shape: readonly number[], data: ArrayBufferView<ArrayBuffer>): Part => ({
  dtype,
  shape,
  data: bytesOf(data),
});
