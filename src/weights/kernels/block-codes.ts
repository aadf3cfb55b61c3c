// The whole numbers of quantised blocks, put back into the bytes that the `unpack…` functions take them from: scales and minimums stay as
// they are there. Layouts as in blocks-of-32.ts and blocks-of-256.ts.

/** Where a block's numbers lie, and which there are. */
export interface BlockCodes {
  /** Weights of a block, and its bytes. */
  readonly weights: number;
  readonly bytes: number;
  /** The bytes of scales and minimums, from and to. */
  readonly head: readonly [number, number];
  /** The smallest and the largest number. */
  readonly range: readonly [number, number];
  /** Writes the numbers of one block, beginning at `from`, into its bytes at `at`. */
  readonly pack: (codes: Int8Array, from: number, bytes: Uint8Array, at: number) => void;
}

/** Two runs of numbers in the low and the high halves of as many bytes. */
function packNibbleRuns(codes: Int8Array, low: number, high: number, count: number, bytes: Uint8Array, at: number, zero = 0): void {
  for (let i = 0; i < count; i++) bytes[at + i] = ((codes[low + i]! + zero) & 15) | (((codes[high + i]! + zero) & 15) << 4);
}

/** Fifth bits of 32 numbers, bit i of number i, then their nibbles. */
function packFiveBits(codes: Int8Array, from: number, bytes: Uint8Array, at: number, zero: number): void {
  bytes.fill(0, at, at + 4);
  for (let i = 0; i < 32; i++) bytes[at + (i >> 3)]! |= (((codes[from + i]! + zero) >> 4) & 1) << (i & 7);
  packNibbleRuns(codes, from, from + 16, 16, bytes, at + 4, zero);
}

/** Four pairs of groups of 32 in 32 bytes each: low nibbles, then high. */
function packGroupNibbles(codes: Int8Array, from: number, bytes: Uint8Array, at: number): void {
  for (let pair = 0; pair < 4; pair++) packNibbleRuns(codes, from + 64 * pair, from + 64 * pair + 32, 32, bytes, at + 32 * pair);
}

const blocksOf32 = (bytes: number, head: number, range: BlockCodes["range"], pack: BlockCodes["pack"]): BlockCodes => ({
  weights: 32,
  bytes,
  head: [0, head],
  range,
  pack,
});

/** The types whose numbers can be written. */
export const blockCodes = {
  Q8_0: blocksOf32(34, 2, [-127, 127], (codes, from, bytes, at) => {
    for (let i = 0; i < 32; i++) bytes[at + 2 + i] = codes[from + i]!;
  }),
  Q4_0: blocksOf32(18, 2, [-8, 7], (codes, from, bytes, at) => packNibbleRuns(codes, from, from + 16, 16, bytes, at + 2, 8)),
  Q4_1: blocksOf32(20, 4, [0, 15], (codes, from, bytes, at) => packNibbleRuns(codes, from, from + 16, 16, bytes, at + 4)),
  Q5_0: blocksOf32(22, 2, [-16, 15], (codes, from, bytes, at) => packFiveBits(codes, from, bytes, at + 2, 16)),
  Q5_1: blocksOf32(24, 4, [0, 31], (codes, from, bytes, at) => packFiveBits(codes, from, bytes, at + 4, 0)),
  Q4_K: {
    weights: 256,
    bytes: 144,
    head: [0, 16],
    range: [0, 15],
    pack: (codes, from, bytes, at) => packGroupNibbles(codes, from, bytes, at + 16),
  },
  Q5_K: {
    weights: 256,
    bytes: 176,
    head: [0, 16],
    range: [0, 31],
    pack: (codes, from, bytes, at) => {
      for (let i = 0; i < 32; i++) {
        let fifth = 0;
        for (let group = 0; group < 8; group++) fifth |= ((codes[from + 32 * group + i]! >> 4) & 1) << group;
        bytes[at + 16 + i] = fifth;
      }
      packGroupNibbles(codes, from, bytes, at + 48);
    },
  },
  Q6_K: { weights: 256, bytes: 210, head: [192, 210], range: [-32, 31], pack: packSixBits },
} as const satisfies Readonly<Record<string, BlockCodes>>;

/** In each half of 128 weights the four runs of 32 share 64 nibble bytes and 32 pair bytes. */
function packSixBits(codes: Int8Array, from: number, bytes: Uint8Array, at: number): void {
  for (let side = 0; side < 2; side++) {
    const first = from + 128 * side;
    const low = at + 64 * side;
    const high = at + 128 + 32 * side;
    packNibbleRuns(codes, first, first + 64, 32, bytes, low, 32);
    packNibbleRuns(codes, first + 32, first + 96, 32, bytes, low + 32, 32);
    for (let i = 0; i < 32; i++) {
      let pairs = 0;
      for (let run = 0; run < 4; run++) pairs |= ((codes[first + 32 * run + i]! + 32) >> 4) << (2 * run);
      bytes[high + i] = pairs;
    }
  }
}
