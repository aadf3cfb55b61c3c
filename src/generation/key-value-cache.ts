import { MASKED } from "../ops/attention-bias.js";
import type { HostData, HostTensor } from "../runtime/engine.js";

/** Capacities are multiples of this, so that a growing cache is seldom copied. */
const CAPACITY_STEP = 128;

interface CacheShape {
  readonly batch: number;
  readonly blocks: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/**
 * Keys and values of the tokens that a model has seen, for a batch of sequences of their own lengths: [P, B, K, D] for
 * each block. Tokens come first, so that the rows in use are one piece of memory, whatever the capacity. It belongs to one
 * model with one adapter: another adapter makes other keys.
 */
export class KeyValueCache {
  readonly #shape: CacheShape;
  readonly #ids: number[][];
  readonly #lengths: Int32Array;
  readonly #offsets: Int32Array;
  #capacity: number;
  #keys: Float32Array[];
  #values: Float32Array[];

  constructor(shape: CacheShape, expectedLength: number) {
    this.#shape = shape;
    this.#ids = Array.from({ length: shape.batch }, () => []);
    this.#lengths = new Int32Array(shape.batch);
    this.#offsets = new Int32Array(shape.batch);
    this.#capacity = roundUp(expectedLength);
    this.#keys = this.#allocate(this.#capacity);
    this.#values = this.#allocate(this.#capacity);
  }

  /** Tokens held for a sequence. */
  length(sequence: number): number {
    return this.#lengths[sequence] ?? 0;
  }

  /** The tokens held for a sequence. */
  ids(sequence: number): readonly number[] {
    return this.#ids[sequence] ?? [];
  }

  /** What was added to the positions of a sequence; see `positionOffset`. */
  offset(sequence: number): number {
    return this.#offsets[sequence] ?? 0;
  }

  /**
   * Rows that a program is fed, at least one, which is masked while nothing is held: those of the longest sequence, without those that
   * lie before the window of every new token.
   */
  rows(window?: number): number {
    return Math.max(1, ...this.#lengths) - this.#firstRow(window);
  }

  /** The first row that a new token sees; one is fed though none is seen. */
  #firstRow(window = Number.POSITIVE_INFINITY): number {
    return Math.max(0, Math.min(...this.#lengths) - Math.max(window - 1, 1));
  }

  get capacity(): number {
    return this.#capacity;
  }

  /**
   * The rows as inputs of a program: views, not copies.
   *
   * @param windowOf how far a block's tokens see
   */
  feeds(windowOf: (block: number) => number | undefined = () => undefined): Record<string, HostData> {
    const feeds: Record<string, HostData> = {};
    for (let block = 0; block < this.#shape.blocks; block++) {
      const window = windowOf(block);
      const first = this.#firstRow(window);
      const range = [first * this.#rowSize(), (first + this.rows(window)) * this.#rowSize()] as const;
      feeds[`past.${block}.key`] = this.#block(this.#keys, block).subarray(...range);
      feeds[`past.${block}.value`] = this.#block(this.#values, block).subarray(...range);
    }
    return feeds;
  }

  /**
   * The mask [B, 1, T, P + T] of T new tokens, of which the first `counts[b]` of a sequence are real: each sees what its
   * sequence holds, itself and the new tokens before it, as far as its window reaches.
   */
  bias(counts: readonly number[], window = Number.POSITIVE_INFINITY): Float32Array {
    const rows = this.rows(window);
    const first = this.#firstRow(window);
    const tokens = Math.max(...counts);
    const seen = rows + tokens;
    const bias = new Float32Array(this.#shape.batch * tokens * seen).fill(MASKED);
    for (const [sequence, count] of counts.entries()) {
      const held = this.length(sequence) - first;
      for (let token = 0; token < tokens; token++) {
        const at = (sequence * tokens + token) * seen;
        bias.fill(0, at + Math.max(0, held + token + 1 - window), at + held);
        bias.fill(0, at + rows + Math.max(0, token + 1 - window), at + rows + Math.min(token + 1, count));
      }
    }
    return bias;
  }

  /**
   * Adds what a program returned for the new tokens of each sequence, T of the one that has most.
   *
   * @param outputs `new.i.key` and `new.i.value`, [B, T, K·D]
   */
  append(outputs: Readonly<Record<string, HostTensor>>, sequences: readonly (readonly number[])[]): void {
    const counts = sequences.map(({ length }) => length);
    const longest = Math.max(...counts.map((count, sequence) => this.length(sequence) + count));
    if (longest > this.#capacity) this.#grow(roundUp(longest));
    for (let block = 0; block < this.#shape.blocks; block++) {
      this.#copyRows(outputs[`new.${block}.key`], this.#block(this.#keys, block), counts);
      this.#copyRows(outputs[`new.${block}.value`], this.#block(this.#values, block), counts);
    }
    for (const [sequence, ids] of sequences.entries()) {
      this.#ids[sequence]?.push(...ids);
      this.#lengths[sequence] = this.length(sequence) + ids.length;
    }
  }

  /** Takes what another cache of the same model holds of one of its sequences in place of what a sequence of this one held. */
  adopt(sequence: number, other: KeyValueCache, from: number): void {
    const length = other.length(from);
    if (length > this.#capacity) this.#grow(roundUp(length));
    const [size, to] = [this.#sequenceSize(), this.#shape.batch];
    for (const [source, target] of [...zip(other.#keys, this.#keys), ...zip(other.#values, this.#values)]) {
      for (let token = 0; token < length; token++) {
        const at = (token * other.#shape.batch + from) * size;
        target.set(source.subarray(at, at + size), (token * to + sequence) * size);
      }
    }
    this.#lengths[sequence] = length;
    this.#offsets[sequence] = other.offset(from);
    this.#ids[sequence] = [...other.ids(from)];
  }

  /** Forgets all but the first tokens of every sequence: the conversation took another turn. */
  truncate(length: number): void {
    for (const [sequence, ids] of this.#ids.entries()) {
      ids.splice(length);
      this.#lengths[sequence] = ids.length;
    }
  }

  /** Forgets a sequence, whose tokens will come again with other positions. */
  restart(sequence: number, offset: number): void {
    this.#ids[sequence] = [];
    this.#lengths[sequence] = 0;
    this.#offsets[sequence] = offset;
  }

  /** Values of one row, a token of every sequence. */
  #rowSize(): number {
    return this.#shape.batch * this.#sequenceSize();
  }

  /** Values of a token of one sequence. */
  #sequenceSize(): number {
    return this.#shape.kvHeads * this.#shape.headSize;
  }

  #block(store: readonly Float32Array[], block: number): Float32Array {
    const data = store[block];
    if (data === undefined) throw new RangeError(`the cache has ${store.length} blocks, not ${block + 1}`);
    return data;
  }

  #allocate(capacity: number): Float32Array[] {
    return Array.from({ length: this.#shape.blocks }, () => new Float32Array(capacity * this.#rowSize()));
  }

  #copyRows(rows: HostTensor | undefined, target: Float32Array, counts: readonly number[]): void {
    if (!(rows?.data instanceof Float32Array)) throw new Error("the program returned no new rows of the cache");
    const { batch } = this.#shape;
    const size = this.#sequenceSize();
    const tokens = rows.dims[1] ?? 0;
    for (const [sequence, count] of counts.entries()) {
      // The rows of a single sequence lie as they are kept.
      const run = batch === 1 ? count : 1;
      for (let token = 0; token < count; token += run) {
        const from = (sequence * tokens + token) * size;
        target.set(rows.data.subarray(from, from + run * size), ((this.length(sequence) + token) * batch + sequence) * size);
      }
    }
  }

  #grow(capacity: number): void {
    this.#keys = this.#keys.map((old) => this.#widened(old, capacity));
    this.#values = this.#values.map((old) => this.#widened(old, capacity));
    this.#capacity = capacity;
  }

  #widened(old: Float32Array, capacity: number): Float32Array {
    const wide = new Float32Array(capacity * this.#rowSize());
    wide.set(old);
    return wide;
  }
}

const zip = <T>(a: readonly T[], b: readonly T[]) => a.flatMap((first, index) => [[first, b[index] as T] as const]);

function roundUp(length: number): number {
  return Math.max(1, Math.ceil(length / CAPACITY_STEP)) * CAPACITY_STEP;
}
