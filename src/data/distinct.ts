/** 128 bits that stand for a value. */
export type Fingerprint = readonly [number, number, number, number];

const rotateLeft = (word: number, bits: number): number => (word << bits) | (word >>> (32 - bits));

function finalMix(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** What each of the four lanes multiplies with (c1, c2), turns by, and adds at the end of a round. */
const LANES = [
  { before: 0x239b961b, turn: 15, after: 0xab0e9789, spin: 19, add: 0x561ccd1b },
  { before: 0xab0e9789, turn: 16, after: 0x38b34ae5, spin: 17, add: 0x0bcaa747 },
  { before: 0x38b34ae5, turn: 17, after: 0xa1e38b93, spin: 15, add: 0x96cd1c35 },
  { before: 0xa1e38b93, turn: 18, after: 0x239b961b, spin: 13, add: 0x32ac3b17 },
] as const;

/**
 * MurmurHash3 x86_128 with the seed 0 (Appleby 2011, public domain) of 32-bit words in little-endian order. Among a billion values two
 * have the same 128 bits with a probability of 10^-21.
 */
export function fingerprint(words: Int32Array): Fingerprint {
  const hash = new Int32Array(4);
  const mixed = (lane: number, word: number): number => {
    const { before, turn, after } = LANES[lane as 0 | 1 | 2 | 3];
    return Math.imul(rotateLeft(Math.imul(word, before), turn), after);
  };
  const whole = words.length - (words.length % 4);
  for (let at = 0; at < whole; at += 4) {
    for (let lane = 0; lane < 4; lane++) {
      const { spin, add } = LANES[lane as 0 | 1 | 2 | 3];
      const own = (hash[lane] ?? 0) ^ mixed(lane, words[at + lane] ?? 0);
      hash[lane] = Math.imul(rotateLeft(own, spin) + (hash[(lane + 1) % 4] ?? 0), 5) + add;
    }
  }
  for (let lane = 0; lane < words.length - whole; lane++) hash[lane] = (hash[lane] ?? 0) ^ mixed(lane, words[whole + lane] ?? 0);
  for (let lane = 0; lane < 4; lane++) hash[lane] = (hash[lane] ?? 0) ^ (4 * words.length);
  spread(hash);
  for (let lane = 0; lane < 4; lane++) hash[lane] = finalMix(hash[lane] ?? 0);
  spread(hash);
  return [hash[0] ?? 0, hash[1] ?? 0, hash[2] ?? 0, hash[3] ?? 0];
}

/** Adds the other lanes to the first, and the first to the others. */
function spread(hash: Int32Array): void {
  for (let lane = 1; lane < 4; lane++) hash[0] = (hash[0] ?? 0) + (hash[lane] ?? 0);
  for (let lane = 1; lane < 4; lane++) hash[lane] = (hash[lane] ?? 0) + (hash[0] ?? 0);
}

/** The fingerprint of lists of whole numbers, each with its length, so that no two ways of parting them are the same. */
export function fingerprintOf(...parts: readonly ArrayLike<number>[]): Fingerprint {
  const words = new Int32Array(parts.reduce((sum, { length }) => sum + 1 + length, 0));
  let at = 0;
  for (const part of parts) {
    words[at++] = part.length;
    words.set(part, at);
    at += part.length;
  }
  return fingerprint(words);
}

/** The fingerprint of a text, by its UTF-16 code units. */
export function fingerprintOfText(text: string): Fingerprint {
  const words = new Int32Array(1 + Math.ceil(text.length / 2));
  words[0] = text.length;
  for (let at = 0; at < text.length; at++) {
    const place = 1 + (at >> 1);
    words[place] = (words[place] ?? 0) | (text.charCodeAt(at) << (16 * (at & 1)));
  }
  return fingerprint(words);
}

/** A text that stands for another among its like: itself where it is short, else its fingerprint and its length. */
export function shortKey(text: string): string {
  if (text.length <= LONGEST_KEY) return text;
  return `${fingerprintOfText(text)
    .map((word) => (word >>> 0).toString(16).padStart(8, "0"))
    .join("")}/${text.length}`;
}

/** Characters of a key: no longer than the fingerprint is with its length. */
const LONGEST_KEY = 40;

/** Slots for each value, at least: the fewer are taken, the shorter are the searches. */
const SLOTS = 2;

/** Values by their fingerprints, numbered from 0 on as they are first met. It takes 24 to 48 bytes a value, whatever its size. */
export class Distinct {
  #words = new Int32Array(4 * 64);
  /** Number of the value in each slot, plus one; 0 where it is free. */
  #slots = new Int32Array(SLOTS * 64);
  #size = 0;

  /** How many different values were met. */
  get size(): number {
    return this.#size;
  }

  /** The number of a value, a new one where it was not met before. */
  number(value: Fingerprint): number {
    const slot = this.#slotOf(value);
    const known = this.#slots[slot] ?? 0;
    if (known > 0) return known - 1;
    if (SLOTS * (this.#size + 1) > this.#slots.length) {
      this.#grow();
      return this.number(value);
    }
    this.#words.set(value, 4 * this.#size);
    this.#slots[slot] = this.#size + 1;
    return this.#size++;
  }

  has(value: Fingerprint): boolean {
    return (this.#slots[this.#slotOf(value)] ?? 0) > 0;
  }

  /** The slot that holds a value, or the free one where it belongs. */
  #slotOf(value: Fingerprint): number {
    const mask = this.#slots.length - 1;
    let slot = value[0] & mask;
    for (;;) {
      const held = this.#slots[slot] ?? 0;
      if (held === 0 || this.#holds(held - 1, value)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #holds(number: number, value: Fingerprint): boolean {
    return value.every((word, lane) => this.#words[4 * number + lane] === word);
  }

  #grow(): void {
    const words = this.#words;
    this.#words = new Int32Array(2 * words.length);
    this.#words.set(words);
    this.#slots = new Int32Array(2 * this.#slots.length);
    for (let number = 0; number < this.#size; number++) {
      const [a = 0, b = 0, c = 0, d = 0] = words.subarray(4 * number, 4 * number + 4);
      this.#slots[this.#slotOf([a, b, c, d])] = number + 1;
    }
  }
}
