import { closeSync, readSync } from "node:fs";
import { deserialize, serialize } from "node:v8";
import { RunError } from "../../errors.js";
import { type Collector, type Series, viewOf } from "../series.js";
import { openTemporaryFile, type TemporaryFile } from "./temporary-file.js";

/** Bytes of values that stay in memory. What is beyond goes to a file, and what was in memory with it. */
const MEMORY_BYTES = 64 * 2 ** 20;
/** Bytes written at a time. */
const WRITE_BYTES = 2 ** 20;

/**
 * Values of which any number may be put down: few stay in memory, many lie in a temporary file, from where each is read when it is asked for. Either
 * way a value goes through the structured clone algorithm, so that nothing depends on where it lies; in memory are 8 bytes for each.
 */
export class Shelf<T> implements Collector<T>, Series<T> {
  readonly #purpose: string;
  readonly #memoryBytes: number;
  /** Where each value ends; it begins where the one before it ends. */
  #ends = new Float64Array(64);
  #length = 0;
  /** Values that are in no file yet. */
  #pieces: Uint8Array[] = [];
  /** How many values the file holds, and their bytes. */
  #filed = { values: 0, bytes: 0 };
  #file: TemporaryFile | undefined;

  /**
   * @param purpose what the values are, for messages: "rows that do not fit into memory"
   * @param memoryBytes how much of them stays in memory
   */
  constructor(purpose: string, memoryBytes: number = MEMORY_BYTES) {
    this.#purpose = purpose;
    this.#memoryBytes = memoryBytes;
  }

  get series(): Series<T> {
    return this;
  }

  get length(): number {
    return this.#length;
  }

  /** @throws RunError where the temporary file takes no more. */
  push(value: T): void {
    const bytes = serialize(value);
    if (this.#length === this.#ends.length) {
      const ends = this.#ends;
      this.#ends = new Float64Array(2 * ends.length);
      this.#ends.set(ends);
    }
    this.#pieces.push(bytes);
    this.#ends[this.#length] = this.#startOf(this.#length) + bytes.length;
    this.#length++;
    const waiting = this.#startOf(this.#length) - this.#filed.bytes;
    if (waiting > (this.#file === undefined ? this.#memoryBytes : Math.min(this.#memoryBytes, WRITE_BYTES))) this.#writeDown();
  }

  at(index: number): T | undefined {
    if (!(index >= 0 && index < this.#length)) return undefined;
    const { values } = this.#filed;
    // Arrays of what is read may be views of the bytes: a copy keeps the stored ones as they are.
    const bytes = index < values ? this.#read(index) : Buffer.from(this.#pieces[index - values] ?? []);
    return deserialize(bytes) as T;
  }

  [Symbol.iterator](): Iterator<T> {
    return viewOf(this.#length, (index) => this.at(index))[Symbol.iterator]();
  }

  /** Gives up the values and the room that they take; it need not be called, as the end of the thread does the same. */
  clear(): void {
    if (this.#file !== undefined) closeSync(this.#file.descriptor);
    this.#file = undefined;
    this.#pieces = [];
    this.#length = 0;
    this.#filed = { values: 0, bytes: 0 };
  }

  #startOf(index: number): number {
    return index === 0 ? 0 : (this.#ends[index - 1] ?? 0);
  }

  #writeDown(): void {
    this.#file ??= openTemporaryFile(this.#purpose);
    let some: Uint8Array[] = [];
    let bytes = 0;
    for (const piece of this.#pieces) {
      some.push(piece);
      bytes += piece.length;
      if (bytes < WRITE_BYTES) continue;
      this.#file.write(Buffer.concat(some, bytes));
      some = [];
      bytes = 0;
    }
    this.#file.write(Buffer.concat(some, bytes));
    this.#pieces = [];
    this.#filed = { values: this.#length, bytes: this.#startOf(this.#length) };
  }

  #read(index: number): Uint8Array {
    const start = this.#startOf(index);
    const bytes = new Uint8Array(this.#startOf(index + 1) - start);
    for (let done = 0; done < bytes.length; ) {
      const count = this.#file === undefined ? 0 : readSync(this.#file.descriptor, bytes, done, bytes.length - done, start + done);
      if (count === 0) throw new RunError(`The temporary file of ${this.#purpose} ended at byte ${start + done}.`);
      done += count;
    }
    return bytes;
  }
}

/** What is on a shelf of examples; the row is that of the file, and read when it is asked for. */
interface Shelved {
  /** Position of the row. */
  readonly origin: number;
}

/**
 * Examples on a shelf. The row of each and its place stay where they are.
 *
 * @param rows those that examples are made of
 * @param rowOf what an example keeps of its row
 */
export function shelveExamples<Example extends { readonly row: unknown; readonly source: unknown }, Row>(
  rows: Series<Row>,
  rowOf: (row: Row) => Pick<Example, "row" | "source">,
  memoryBytes?: number,
): Collector<Example> {
  const shelf = new Shelf<Shelved & Omit<Example, "row" | "source">>("examples that do not fit into memory", memoryBytes);
  const read = (index: number): Example | undefined => {
    const stored = shelf.at(index);
    if (stored === undefined) return undefined;
    const { origin, ...rest } = stored;
    const kept = () => {
      const row = rows.at(origin);
      if (row === undefined) throw new RangeError(`there is no row ${origin}`);
      return rowOf(row);
    };
    return Object.defineProperties(rest, {
      row: { enumerable: true, get: () => kept().row },
      source: { enumerable: true, get: () => kept().source },
    }) as unknown as Example;
  };
  return {
    push({ row: _row, source: _source, ...rest }, origin) {
      shelf.push({ origin, ...rest } as Shelved & Omit<Example, "row" | "source">);
    },
    get series() {
      return viewOf(shelf.length, read);
    },
  };
}
