import { describe, expect, test } from "vitest";
import { encodeValues } from "../../src/weights/written-types.js";
import { golden } from "../support/golden.js";
import { floats } from "./golden.js";

const encoded = golden<Record<"values" | "F16" | "BF16" | "Q8_0", string>>("weights/encoded.json");
const values = floats(encoded.values);

describe("weights as they are written", () => {
  test.each(["F16", "BF16", "Q8_0"] as const)("%s is numpy's, PyTorch's, the GGUF package's, bit for bit", (type) => {
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
  });
});
