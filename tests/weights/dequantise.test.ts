import { describe, expect, it } from "vitest";
import { dequantise, isStoredType, storedByteLength, storedTypeNames } from "../../src/weights/stored-types.js";
import { bits, floats, fromBase64, golden, sha256 } from "./golden.js";

describe("dequantise", () => {
  it.each(golden.blocks.cases)("equals the gguf package bit for bit: $type", ({ type, stored, values }) => {
    if (!isStoredType(type)) throw new Error(`${type} is not known`);
    const expected = floats(values);
    const bytes = fromBase64(stored);
    expect(storedByteLength(type, expected.length)).toBe(bytes.length);
    expect(bits(dequantise(type, bytes, expected.length))).toEqual(bits(expected));
  });

  it("covers every type but F16, which is compared over all its values below", () => {
    expect(golden.blocks.cases.map(({ type }) => type).sort()).toEqual(storedTypeNames.filter((type) => type !== "F16").sort());
  });

  it("equals numpy on every half-precision number that is one", () => {
    const halves = new Uint16Array(65536).map((_, i) => i).filter((half) => (half & 0x7fff) <= 0x7c00);
    expect(halves.length).toBe(golden.blocks.everyHalf.count);
    expect(sha256(dequantise("F16", new Uint8Array(halves.buffer), halves.length))).toBe(golden.blocks.everyHalf.sha256);
  });

  it("keeps NaN NaN", () => {
    const halves = new Uint16Array([0x7c01, 0x7e00, 0xffff]);
    expect([...dequantise("F16", new Uint8Array(halves.buffer), 3)].every(Number.isNaN)).toBe(true);
  });

  it("refuses counts that are no whole number of blocks, and too few bytes", () => {
    expect(() => dequantise("Q4_K", new Uint8Array(144), 255)).toThrow(RangeError);
    expect(() => dequantise("Q8_0", new Uint8Array(33), 32)).toThrow(RangeError);
  });
});
