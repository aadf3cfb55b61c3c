import type { StoredInt8, StoredWeight } from "../../src/runtime/emit.js";
import { int8Encoder, raiseColumnMaxima } from "../../src/weights/kernels/int8.js";

type Part = StoredInt8["parts"] extends ReadonlyMap<string, infer P> ? P : never;

/** How a test rounds a weight's input. */
export interface Rounded {
  readonly range: "tensor" | "row";
  /** Factors on the channels; all one by default. */
  readonly smooth?: Float32Array;
  /** The input's mean; zero by default. */
  readonly mean?: Float32Array;
  /** Channels that are multiplied in float32. */
  readonly outliers?: readonly number[];
}

/** W [out, in] in memory, in float32 and in int8. */
export function int8Weight(
  weight: Float32Array<ArrayBuffer>,
  [outputs, inputs]: readonly [number, number],
  { range, smooth = new Float32Array(inputs).fill(1), mean = new Float32Array(inputs), outliers = [] }: Rounded,
): StoredWeight {
  const maxima = new Float32Array(inputs);
  raiseColumnMaxima(maxima, weight);
  const factors = smooth.map((factor, channel) => (outliers.includes(channel) ? 0 : factor));
  const encoder = int8Encoder(outputs, { smooth: factors, mean }, maxima);
  encoder.addRows(weight, 0);
  const { forwardCodes, forwardScales, forwardBias, backwardCodes, backwardScales } = encoder;
  const apart = Float32Array.from(
    { length: outputs * outliers.length },
    (_, at) => weight[Math.floor(at / outliers.length) * inputs + outliers[at % outliers.length]!]!,
  );
  const parts: [Parameters<StoredInt8["parts"]["get"]>[0], Part][] = [
    ["smooth", part("float32", [inputs], factors)],
    ["forwardCodes", part("int8", [inputs, outputs], forwardCodes)],
    ["forwardScales", part("float32", [outputs], forwardScales)],
    ["forwardBias", part("float32", [outputs], forwardBias)],
    ["backwardCodes", part("int8", [outputs, inputs], backwardCodes)],
    ["backwardScales", part("float32", [inputs], backwardScales)],
  ];
  if (outliers.length > 0) {
    parts.push(["outliers", part("int64", [outliers.length], BigInt64Array.from(outliers, BigInt))]);
    parts.push(["outlierWeights", part("float32", [outputs, outliers.length], apart)]);
  }
  return { dtype: "float32", shape: [outputs, inputs], data: bytesOf(weight), int8: { range, parts: new Map(parts) } };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBuffer>) => new Uint8Array(buffer, byteOffset, byteLength);

const part = (dtype: Part["dtype"], shape: readonly number[], data: ArrayBufferView<ArrayBuffer>): Part => ({
  dtype,
  shape,
  data: bytesOf(data),
});
