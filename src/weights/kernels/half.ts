// Floating-point types of 16 and 32 bits. Converted as bit patterns, so that NaN payloads survive and every value
// is exactly the one that numpy's `astype(float32)` gives.

/** Bits of the float32 that equals the IEEE 754 binary16 number with the given bits. */
function halfToFloatBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13); // 112 = 127 − 15, the biases
  if (fraction === 0) return sign;
  // A subnormal half, fraction · 2⁻²⁴, is a normal float: shift the leading one out.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

let bitsTable: Uint32Array | undefined;
let valueTable: Float32Array | undefined;

/** Float32 bits of all 65536 halves, made at first use (256 KiB). */
function halfBits(): Uint32Array {
  if (bitsTable === undefined) {
    bitsTable = new Uint32Array(65536);
    for (let i = 0; i < 65536; i++) bitsTable[i] = halfToFloatBits(i);
  }
  return bitsTable;
}

/** Values of all 65536 halves: the scales of quantised blocks are looked up here. */
export function halfValues(): Float32Array {
  valueTable ??= new Float32Array(halfBits().buffer);
  return valueTable;
}

/** F16 → float32, little-endian. */
export function convertF16(bytes: Uint8Array, out: Float32Array): void {
  const table = halfBits();
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0, at = 0; i < bits.length; i++, at += 2) bits[i] = table[bytes[at]! | (bytes[at + 1]! << 8)]!;
}

/** BF16 → float32: the upper half of the same number. */
export function convertBF16(bytes: Uint8Array, out: Float32Array): void {
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0, at = 0; i < bits.length; i++, at += 2) bits[i] = (bytes[at]! << 16) | (bytes[at + 1]! << 24);
}

/** F32 → float32: a copy. */
export function convertF32(bytes: Uint8Array, out: Float32Array): void {
  new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes.subarray(0, out.byteLength));
}

/** Bits of the half that is nearest to a float32 with the given bits, of two as near the even one (IEEE 754, as numpy's `astype(float16)`). */
function floatToHalfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const size = bits & 0x7fffffff;
  if (size > 0x7f800000) return sign | 0x7e00; // not a number
  if (size >= 0x477ff000) return sign | 0x7c00; // from 65520 on the nearest is infinity
  if (size >= 0x38800000) return sign | ((size + 0xfff + ((size >>> 13) & 1) - 0x38000000) >>> 13); // 0x38000000 = 112 << 23
  if (size < 0x33000000) return sign; // below half of the smallest
  // A subnormal: the fraction with its leading one, as a multiple of 2⁻²⁴.
  const fraction = (size & 0x7fffff) | 0x800000;
  const shift = 126 - (size >>> 23);
  const half = 1 << (shift - 1);
  return sign | ((fraction + half - 1 + ((fraction >>> shift) & 1)) >>> shift);
}

const one = new Float32Array(1);
const oneBits = new Uint32Array(one.buffer);

/** Bits of the half nearest to a number. */
export function halfBitsOf(value: number): number {
  one[0] = value;
  return floatToHalfBits(oneBits[0]!);
}

const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** float32 → F16, to nearest even. */
export function encodeF16(values: Float32Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Uint16Array.from(bitsOf(values), floatToHalfBits).buffer);
}

/** float32 → BF16, to nearest even as PyTorch rounds; what is no number stays none. */
export function encodeBF16(values: Float32Array): Uint8Array<ArrayBuffer> {
  const round = (bits: number) => ((bits & 0x7fffffff) > 0x7f800000 ? (bits >>> 16) | 0x40 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
  return new Uint8Array(Uint16Array.from(bitsOf(values), round).buffer);
}
