import { describe, expect, test } from "vitest";
import { correctionOf } from "../../src/weights/corrections.js";
import { decodeSparse, encodeSparse } from "../../src/weights/kernels/distances.js";
import { dequantise, storedByteLength } from "../../src/weights/stored-types.js";
import { encodeValues } from "../../src/weights/written-types.js";
import { Random } from "../support/random.js";

const COUNT = 1024;
const floats = ["F32", "F16", "BF16"] as const;
const blocks = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"] as const;

describe.each([...floats, ...blocks])("corrections of %s", (type) => {
  const random = new Random(7);
  const correction = correctionOf(type)!;
  const anyBytes = Uint8Array.from({ length: storedByteLength(type, COUNT)! }, () => random.below(256));

  test("any bytes come back from any prediction: what is no number, infinities, both zeros and the smallest numbers among them", () => {
    const odd = [0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** -149, -(2 ** -149), 3e38, -3e38, 65_504];
    const predictions = [
      random.gaussians(COUNT),
      Float32Array.from({ length: COUNT }, (_, at) => odd[at % odd.length]!),
      new Float32Array(COUNT),
    ];
    for (const predicted of predictions) {
      for (const stored of [anyBytes, new Uint8Array(anyBytes.length), anyBytes.slice().fill(0xff)]) {
        const bytes = correction.encode(stored, predicted);
        expect(bytes.length).toBeLessThanOrEqual(correction.mostBytes(COUNT));
        expect(Buffer.from(correction.apply(bytes, predicted)).equals(Buffer.from(stored))).toBe(true);
      }
    }
  });

  test("a prediction that is right costs nothing beside scales, one that is nearly right little", () => {
    const stored = encodeValues(type, random.gaussians(COUNT), "w");
    const values = dequantise(type, stored, COUNT);
    const scales = correction.mostBytes(COUNT) - 10 * COUNT; // zero for floating point
    expect(correction.encode(stored, values)).toHaveLength(scales);
    values[100]! += 2e-7 * Math.abs(values[100]!);
    expect(correction.encode(stored, values).length).toBeLessThanOrEqual(scales + 4);
  });

  test("what belongs to other weights is refused", () => {
    const predicted = random.gaussians(COUNT);
    const bytes = correction.encode(anyBytes, predicted);
    expect(() => correction.apply(bytes.subarray(0, bytes.length - 1), predicted)).toThrow(RangeError);
    const heads = correction.mostBytes(COUNT) - 10 * COUNT;
    expect(() => correction.apply(Uint8Array.from([...bytes.subarray(0, heads), 0xff, 0xff, 0x7f, 2]), predicted)).toThrow(RangeError);
    expect(() => correction.apply(Uint8Array.from([...bytes.subarray(0, heads), 0xff, 0xff, 0xff, 0xff, 0xff, 1]), predicted)).toThrow(
      RangeError,
    );
  });
});

test("types whose numbers are not written have none", () => {
  expect(["Q2_K", "Q3_K", "IQ4_NL", "IQ4_XS", "MXFP4"].map((type) => correctionOf(type as "Q2_K"))).toEqual(Array(5).fill(undefined));
});

test("sparse numbers: nothing for zeros, and every size of a number", () => {
  expect(encodeSparse(new Int32Array(1000))).toHaveLength(0);
  const numbers = new Int32Array(70_000);
  for (const [index, value] of [1, -1, 63, -64, 64, 8191, 2 ** 20, -(2 ** 31), 2 ** 31 - 1].entries()) numbers[7000 * index + 3] = value;
  expect(decodeSparse(encodeSparse(numbers), numbers.length)).toEqual(numbers);
});
