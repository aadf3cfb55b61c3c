/**
 * Seeded random numbers.
 *
 * Generator: xoshiro128** 1.1 (Blackman & Vigna 2021, "Scrambled Linear Pseudorandom Number Generators", ACM TOMS 47(4)),
 * 32-bit words, period 2^128 − 1. Seeding: the words of a counter put through MurmurHash3's 32-bit finaliser (Appleby 2011).
 * Normal numbers: Marsaglia's polar method (Marsaglia & Bray 1964).
 */
export interface Random {
  /** An integer from 0 to 2^32 − 1. */
  uint32(): number;
  /** A number in [0, 1) with 53 random bits. */
  uniform(): number;
  /** A number with mean 0 and standard deviation 1. */
  normal(): number;
  /** An integer from 0 to `limit` − 1; `limit` from 1 to 2^32. */
  below(limit: number): number;
  /** Puts the elements into a random order, in place (Fisher & Yates, Durstenfeld's form). */
  shuffle<T>(values: T[]): void;
  /** Fills with normal numbers times `deviation`. */
  fillNormal(values: Float32Array, deviation: number): void;
}

function scramble(word: number): number {
  let h = word >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * A generator of its own for each seed and stream. Streams ("dropout", "shuffle/3") keep the uses of one seed apart: what one
 * draws does not move another.
 */
export function createRandom(seed: number, stream = ""): Random {
  let key = scramble(seed ^ 0x9e3779b9) ^ scramble(Math.floor(seed / 0x1_0000_0000) + 0x7f4a7c15);
  for (let i = 0; i < stream.length; i++) key = scramble(key ^ stream.charCodeAt(i)) + i;
  const word = (index: number) => scramble(Math.imul(index + 1, 0x9e3779b9) + key);
  // All four words zero is the one state that the generator cannot leave; the constant rules it out.
  return xoshiro([word(0), word(1), word(2), (word(3) | 1) >>> 0]);
}

const rotateLeft = (word: number, bits: number): number => (word << bits) | (word >>> (32 - bits));

/** The generator from its first state, in which one word at least is not zero. */
export function xoshiro(words: readonly [number, number, number, number]): Random {
  let [a, b, c, d] = words;
  /** The second number of the last polar pair, null when it has been used. */
  let spare: number | null = null;

  function uint32(): number {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotateLeft(d, 11);
    return result;
  }

  const uniform = (): number => ((uint32() >>> 5) * 0x400_0000 + (uint32() >>> 6)) / 0x20_0000_0000_0000;

  function normal(): number {
    if (spare !== null) {
      const kept = spare;
      spare = null;
      return kept;
    }
    for (;;) {
      const x = 2 * uniform() - 1;
      const y = 2 * uniform() - 1;
      const square = x * x + y * y;
      if (square > 0 && square < 1) {
        const factor = Math.sqrt((-2 * Math.log(square)) / square);
        spare = y * factor;
        return x * factor;
      }
    }
  }

  return {
    uint32,
    uniform,
    normal,
    below: (limit) => Math.floor(uniform() * limit),
    shuffle<T>(values: T[]): void {
      for (let i = values.length - 1; i > 0; i--) {
        const j = Math.floor(uniform() * (i + 1));
        const kept = values[i] as T;
        values[i] = values[j] as T;
        values[j] = kept;
      }
    },
    fillNormal(values, deviation): void {
      for (let i = 0; i < values.length; i++) values[i] = normal() * deviation;
    },
  };
}
