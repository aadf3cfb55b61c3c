import { MASKED } from "../ops/attention-bias.js";
import type { HostData, HostTensor } from "../runtime/engine.js";

/** Capacities are multiples of this, so that memory is reused and few shapes occur. */
const CAPACITY_STEP = 128;

interface CacheShape {
  readonly batch: number;
  readonly blocks: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/**
 * Keys and values of the tokens that a model has seen, for a batch of sequences of their own lengths: [B, K, P, D] for
 * each block, P the capacity. It belongs to one model with one adapter: another adapter makes other keys.
 */
export class KeyValueCache {
  readonly #shape: CacheShape;
  readonly #lengths: Int32Array;
  #capacity: number;
  #keys: Float32Array[];
  #values: Float32Array[];

  constructor(shape: CacheShape, expectedLength: number) {
    this.#shape = shape;
    this.#lengths = new Int32Array(shape.batch);
    this.#capacity = roundUp(expectedLength);
    this.#keys = this.#allocate(this.#capacity);
    this.#values = this.#allocate(this.#capacity);
  }

  /** Tokens held for a sequence. */
  length(sequence: number): number {
    return this.#lengths[sequence] ?? 0;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** The cache as inputs of a program: views, not copies. */
  feeds(): Record<string, HostData> {
    const feeds: Record<string, HostData> = { pastBias: this.#bias() };
    for (let block = 0; block < this.#shape.blocks; block++) {
      feeds[`past.${block}.key`] = this.#block(this.#keys, block);
      feeds[`past.${block}.value`] = this.#block(this.#values, block);
    }
    return feeds;
  }

  /**
   * Adds what a program returned for T new tokens, of which the first `counts[b]` of a sequence are real.
   *
   * @param outputs `new.i.key` and `new.i.value`, [B, K, T, D]
   */
  append(outputs: Readonly<Record<string, HostTensor>>, counts: readonly number[]): void {
    const longest = Math.max(...counts.map((count, sequence) => this.length(sequence) + count));
    if (longest > this.#capacity) this.#grow(roundUp(longest));
    for (let block = 0; block < this.#shape.blocks; block++) {
      this.#copyRows(outputs[`new.${block}.key`], this.#block(this.#keys, block), counts);
      this.#copyRows(outputs[`new.${block}.value`], this.#block(this.#values, block), counts);
    }
    for (const [sequence, count] of counts.entries()) this.#lengths[sequence] = this.length(sequence) + count;
  }

  /** Forgets all but the first tokens of every sequence: the conversation took another turn. */
  truncate(length: number): void {
    for (const [sequence, held] of this.#lengths.entries()) this.#lengths[sequence] = Math.min(held, length);
  }

  #bias(): Float32Array {
    const bias = new Float32Array(this.#shape.batch * this.#capacity).fill(MASKED);
    for (const [sequence, length] of this.#lengths.entries()) bias.fill(0, sequence * this.#capacity, sequence * this.#capacity + length);
    return bias;
  }

  #block(store: readonly Float32Array[], block: number): Float32Array {
    const data = store[block];
    if (data === undefined) throw new RangeError(`the cache has ${store.length} blocks, not ${block + 1}`);
    return data;
  }

  #allocate(capacity: number): Float32Array[] {
    const { batch, blocks, kvHeads, headSize } = this.#shape;
    return Array.from({ length: blocks }, () => new Float32Array(batch * kvHeads * capacity * headSize));
  }

  #copyRows(rows: HostTensor | undefined, target: Float32Array, counts: readonly number[]): void {
    if (!(rows?.data instanceof Float32Array)) throw new Error("the program returned no new rows of the cache");
    const { kvHeads, headSize } = this.#shape;
    const tokens = rows.dims[2] ?? 0;
    for (const [sequence, count] of counts.entries()) {
      for (let head = 0; head < kvHeads; head++) {
        const index = sequence * kvHeads + head;
        const from = index * tokens * headSize;
        const to = (index * this.#capacity + this.length(sequence)) * headSize;
        target.set(rows.data.subarray(from, from + count * headSize), to);
      }
    }
  }

  #grow(capacity: number): void {
    this.#keys = this.#keys.map((old) => this.#widened(old, capacity));
    this.#values = this.#values.map((old) => this.#widened(old, capacity));
    this.#capacity = capacity;
  }

  #widened(old: Float32Array, capacity: number): Float32Array {
    const { batch, kvHeads, headSize } = this.#shape;
    const wide = new Float32Array(batch * kvHeads * capacity * headSize);
    const row = this.#capacity * headSize;
    for (let index = 0; index < batch * kvHeads; index++)
      wide.set(old.subarray(index * row, (index + 1) * row), index * capacity * headSize);
    return wide;
  }
}

function roundUp(length: number): number {
  return Math.max(1, Math.ceil(length / CAPACITY_STEP)) * CAPACITY_STEP;
}
