import type { Random } from "../../../src/data/random.js";
import { type Mutation, once, pick } from "./mutation.js";

// Damage of any file: bits, spans, and numbers that are too large where a length, a count or an offset may stand.

/** A copied span and what is appended are at most this long, bytes. */
const MAX_SPAN = 64 * 1024;
/** Where most formats keep what describes the rest: this many bytes at the start or the end. */
const EDGES = [32, 512, 8192] as const;

const extremes = [
  0n,
  1n,
  2n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  1n << 53n,
  (1n << 63n) - 1n,
  1n << 63n,
];

/** A place in a file, more often near its start or end. */
function placeIn(length: number, random: Random): number {
  const edge = Math.min(length, pick(random, EDGES));
  switch (random.below(3)) {
    case 0:
      return random.below(length);
    case 1:
      return random.below(edge);
    default:
      return length - 1 - random.below(edge);
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** Writes a number of one, two, four or eight bytes, in either order. */
export function writeInteger(bytes: Uint8Array, at: number, size: number, value: bigint, littleEndian = true): void {
  for (let index = 0; index < size && at + index < bytes.length; index++) {
    const place = littleEndian ? index : size - 1 - index;
    bytes[at + index] = Number((value >> BigInt(8 * place)) & 0xffn);
  }
}

/** A number at the edge of a type, or near the size of the file. */
export function extreme(random: Random, length: number): bigint {
  if (once(random, 3)) return BigInt(Math.max(0, length - 8 + random.below(16)));
  return BigInt.asUintN(64, pick(random, extremes) - BigInt(random.below(2)));
}

const edits: readonly Mutation[] = [
  (bytes, { random }) => {
    const at = placeIn(bytes.length, random);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
    return bytes;
  },
  (bytes, { random }) => {
    bytes[placeIn(bytes.length, random)] = random.below(256);
    return bytes;
  },
  (bytes, { random }) => {
    const at = placeIn(bytes.length, random);
    bytes.fill(pick(random, [0, 0xff, 0x80, 0x7f]), at, Math.min(bytes.length, at + 1 + random.below(16)));
    return bytes;
  },
  (bytes, { random }) => {
    writeInteger(bytes, placeIn(bytes.length, random), pick(random, [1, 2, 4, 8]), extreme(random, bytes.length), !once(random, 4));
    return bytes;
  },
  (bytes, { random }) =>
    bytes.slice(0, once(random, 2) ? random.below(bytes.length) : bytes.length - random.below(Math.min(bytes.length, 32))),
  (bytes, { random }) => {
    const at = placeIn(bytes.length, random);
    return joined(bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(MAX_SPAN)));
  },
  (bytes, { random }) => {
    const [at, to] = [placeIn(bytes.length, random), placeIn(bytes.length, random)];
    return joined(bytes.subarray(0, to), bytes.subarray(at, at + 1 + random.below(MAX_SPAN)), bytes.subarray(to));
  },
  (bytes, { random, other }) => {
    const from = other();
    return joined(bytes.subarray(0, placeIn(bytes.length, random)), from.subarray(random.below(from.length + 1)));
  },
  (bytes, { random, other }) => {
    const from = other();
    const at = placeIn(bytes.length, random);
    const span = from.subarray(random.below(from.length + 1)).subarray(0, 1 + random.below(256));
    return joined(bytes.subarray(0, at), span, bytes.subarray(at + span.length));
  },
  (bytes, { random }) => joined(bytes, new Uint8Array(1 + random.below(MAX_SPAN)).fill(random.below(256))),
];

/** One to four of these. */
export const damageBytes: Mutation = (original, source) => {
  let bytes: Uint8Array = new Uint8Array(original);
  for (let left = 1 + source.random.below(4); left > 0 && bytes.length > 0; left--) bytes = pick(source.random, edits)(bytes, source);
  return bytes;
};
