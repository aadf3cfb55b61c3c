// How far the bits of stored floating-point numbers are from predicted ones, counted in representable numbers, and whole numbers of which
// nearly all are zero as few bytes.

const elementsOf = (bytes: Uint8Array, size: 2 | 4): Uint16Array | Uint32Array => {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return size === 2 ? new Uint16Array(buffer, byteOffset, byteLength / 2) : new Uint32Array(buffer, byteOffset, byteLength / 4);
};

/** Bits as unsigned numbers in the order of the values: a negative number's turned over, a positive one's above them. */
const ordered = (bits: number, sign: number, all: number): number => (bits & sign ? ~bits & all : bits | sign) >>> 0;
const unordered = (order: number, sign: number, all: number): number => (order & sign ? order & ~sign : ~order & all) >>> 0;

const masks = (size: 2 | 4): readonly [sign: number, all: number, unused: number] =>
  size === 2 ? [0x8000, 0xffff, 16] : [0x80000000, -1, 0];

/** Steps from each predicted number to the stored one, modulo the numbers there are; of numbers of 2 or 4 bytes. */
export function floatDistances(stored: Uint8Array, predicted: Uint8Array, size: 2 | 4): Int32Array {
  const [to, from] = [elementsOf(stored, size), elementsOf(predicted, size)];
  const [sign, all, unused] = masks(size);
  const distances = new Int32Array(to.length);
  for (let at = 0; at < to.length; at++) {
    distances[at] = ((ordered(to[at]!, sign, all) - ordered(from[at]!, sign, all)) << unused) >> unused;
  }
  return distances;
}

/** The stored numbers again. */
export function applyFloatDistances(predicted: Uint8Array, distances: Int32Array, size: 2 | 4): Uint8Array {
  const from = elementsOf(predicted, size);
  const [sign, all] = masks(size);
  const to = size === 2 ? new Uint16Array(from.length) : new Uint32Array(from.length);
  for (let at = 0; at < to.length; at++) to[at] = unordered((ordered(from[at]!, sign, all) + distances[at]!) & all, sign, all);
  return new Uint8Array(to.buffer);
}

/** A number at most takes so many bytes. */
const MAX_VARINT_BYTES = 5;

/** Most bytes that so many numbers take. */
export const mostSparseBytes = (count: number): number => 2 * MAX_VARINT_BYTES * count;

/**
 * Numbers as pairs: how many zeros stand before one that is none, and that one; both in groups of seven bits, the lowest first, and the
 * number with its sign in the lowest bit.
 */
export function encodeSparse(numbers: Int32Array): Uint8Array {
  let out = new Uint8Array(1024);
  let length = 0;
  const put = (value: number) => {
    let rest = value;
    for (; rest > 0x7f; rest >>>= 7) out[length++] = (rest & 0x7f) | 0x80;
    out[length++] = rest;
  };
  let zeros = 0;
  for (let at = 0; at < numbers.length; at++) {
    const number = numbers[at]!;
    if (number === 0) {
      zeros++;
      continue;
    }
    if (length + 2 * MAX_VARINT_BYTES > out.length) {
      const larger = new Uint8Array(2 * out.length);
      larger.set(out);
      out = larger;
    }
    put(zeros);
    put(((number << 1) ^ (number >> 31)) >>> 0);
    zeros = 0;
  }
  return out.slice(0, length);
}

/** The `count` numbers again. Throws RangeError where the bytes are not theirs. */
export function decodeSparse(bytes: Uint8Array, count: number): Int32Array {
  const numbers = new Int32Array(count);
  let read = 0;
  const take = () => {
    let value = 0;
    for (let shift = 0; shift < 7 * MAX_VARINT_BYTES; shift += 7) {
      if (read >= bytes.length) throw new RangeError("corrections end inside a number");
      const byte = bytes[read++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw new RangeError("a correction is too long");
  };
  for (let at = 0; read < bytes.length; at++) {
    at += take();
    if (at >= count) throw new RangeError("there are corrections for more weights than there are");
    const folded = take();
    numbers[at] = (folded >>> 1) ^ -(folded & 1);
  }
  return numbers;
}
