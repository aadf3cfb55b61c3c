import { InputError } from "../../../errors.js";

/** Blocks of a model: a list entry is made for each before any tensor is seen. */
const MAX_BLOCKS = 1024;
const MAX_COUNT = 2 ** 24;

/** Reads the entries of a GGUF's metadata that lie below its architecture's name, each with its bounds. */
export class GgufMetadataReader {
  readonly file: string;
  readonly #architecture: string;
  readonly #metadata: Readonly<Record<string, unknown>>;

  constructor(file: string, architecture: string, metadata: Readonly<Record<string, unknown>>) {
    this.file = file;
    this.#architecture = architecture;
    this.#metadata = metadata;
  }

  /** `block_count`. */
  blocks(): number {
    return this.count("block_count", MAX_BLOCKS);
  }

  /** A whole number from 1 to the limit. */
  count(key: string, limit = MAX_COUNT): number {
    const value = this.optionalCount(key, limit);
    if (value === undefined) throw new InputError(`${this.file}: the metadata lack ${this.#full(key)}. Convert the model again.`);
    return value;
  }

  /** As `count`; undefined where the entry is missing. */
  optionalCount(key: string, limit = MAX_COUNT): number | undefined {
    const value = this.optionalNumber(key);
    if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= limit)) return value;
    throw this.invalid(key, `a whole number from 1 to ${limit}`);
  }

  /** A count of which 0 means "none". */
  countOrNone(key: string): number | undefined {
    return this.optionalNumber(key) === 0 ? undefined : this.optionalCount(key);
  }

  optionalNumber(key: string): number | undefined {
    const value = this.value(key);
    if (value === undefined || (typeof value === "number" && Number.isFinite(value))) return value;
    throw this.invalid(key, "a number");
  }

  /** A float32 as the short decimal that it was written from: 0.000009999999747378752 → 1e-5. */
  decimal(key: string): number | undefined;
  decimal(key: string, fallback: number): number;
  decimal(key: string, fallback?: number): number | undefined {
    const value = this.optionalNumber(key) ?? fallback;
    return value === undefined ? undefined : tidyFloat(value);
  }

  /** The entry as it stands. */
  value(key: string): unknown {
    return this.#metadata[this.#full(key)];
  }

  /** The id of a special token, `bos`, `eos` or `padding`, or null where the file names none. */
  tokenId(which: "bos" | "eos" | "padding"): number | null {
    const key = `tokenizer.ggml.${which}_token_id`;
    const value = this.#metadata[key] ?? null;
    if (value === null || (typeof value === "number" && Number.isInteger(value))) return value;
    throw new InputError(`${this.file}: ${key} is ${shown(value)}; expected a number.`);
  }

  invalid(key: string, expected: string): InputError {
    return new InputError(`${this.file}: ${this.#full(key)} is ${shown(this.value(key))}; expected ${expected}.`);
  }

  #full(key: string): string {
    return `${this.#architecture}.${key}`;
  }
}

const shown = (value: unknown) => String(value).slice(0, 80);

export function tidyFloat(value: number): number {
  const short = Number(value.toPrecision(7));
  return Math.fround(short) === Math.fround(value) ? short : value;
}
