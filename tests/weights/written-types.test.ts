import { describe, expect, test } from "vitest";
import { dequantise } from "../../src/weights/stored-types.js";
import { encodeValues } from "../../src/weights/written-types.js";
import { golden } from "../support/golden.js";
import { floats, fromBase64 } from "./golden.js";

const types = ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"] as const;
const encoded = golden<Record<"values" | (typeof types)[number], string>>("weights/encoded.json");
const values = floats(encoded.values);

// Proves gguf-model out: F16, BF16 and the blocks of 32 are the gguf package's, bit for bit
describe("weights as they are written", () => {
  test.each(types)("%s is numpy's, PyTorch's, the GGUF package's, bit for bit", (type) => {
    expect(Buffer.from(encodeValues(type, values, "w")).toString("base64")).toBe(encoded[type]);
  });

  test("what is no number stays none, and infinite what is", () => {
    const odd = Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 65_519);
    const bits = (type: "F16" | "BF16", some: Float32Array) => [...new Uint16Array(encodeValues(type, some, "w").buffer)];
    expect(bits("F16", odd.subarray(0, 3))).toEqual([0x7e00, 0x7c00, 0xfc00]);
    expect(bits("BF16", odd.subarray(0, 3))).toEqual([0x7fc0, 0x7f80, 0xff80]);
  });

  test("a weight too large for F16 is refused with the way out, and blocks are whole", () => {
    expect(() => encodeValues("F16", Float32Array.of(1, 65_505), "model.norm.weight")).toThrow(
      "model.norm.weight holds 65505, which is more than 16-bit floating point has (65504). Write it with --dtype bf16 or f32.",
    );
    expect(() => encodeValues("Q8_0", new Float32Array(31), "w")).toThrow("w: 31 weights are no whole blocks of Q8_0");
    expect(() => encodeValues("Q4_K", new Float32Array(256).fill(Number.NaN, 7, 8), "w")).toThrow(
      "w holds NaN, which the blocks of Q4_K cannot: write it with --dtype f16, bf16 or f32.",
    );
  });
});

describe("super-blocks of 256, whose scales are searched for here", () => {
  const want = golden<{ values: string; errors: Record<string, number[]> }>("weights/k-quants.json");
  const weights = dequantise("F16", fromBase64(want.values), fromBase64(want.values).length / 2);

  test.each(["Q4_K", "Q5_K", "Q6_K"] as const)("%s loses less than by ggml's own quantiser, and hardly more of any block", (type) => {
    const read = dequantise(type, encodeValues(type, weights, "w"), weights.length);
    const theirs = want.errors[type] ?? [];
    const ours = theirs.map((_, block) => {
      const at = 256 * block;
      return Math.hypot(...read.subarray(at, at + 256).map((value, index) => value - weights[at + index]!));
    });
    expect(theirs).toHaveLength(16);
    for (const [block, error] of ours.entries()) expect(error, `block ${block}`).toBeLessThanOrEqual(1.03 * theirs[block]! + 1e-7);
    expect(Math.hypot(...ours)).toBeLessThan(Math.hypot(...theirs));
    expect(read.subarray(0, 256)).toEqual(new Float32Array(256)); // zeros
  });
});
