import { InputError } from "../errors.js";

/** The largest value of a count without a limit of its own. */
const MAX_COUNT = 1e8;

/**
 * Limits of the counts that no tensor's shape confirms before something of that size is made: a list entry for each layer, a row of the
 * rotary tables for each position. They lie a few times above the largest models that there are.
 */
const limits: ReadonlyMap<string, number> = new Map([
  ["num_hidden_layers", 1024],
  ["n_layer", 1024],
  ["n_positions", 2 ** 24],
  ["max_position_embeddings", 2 ** 24],
  ["sliding_window", 2 ** 24],
  ["original_max_position_embeddings", 2 ** 24],
]);

/** Reads fields of a `config.json`, each with its bounds; errors name the field and what stood there. */
export class ConfigReader {
  readonly #config: Readonly<Record<string, unknown>>;
  readonly #where: string;

  constructor(config: Readonly<Record<string, unknown>>, where = "config.json") {
    this.#config = config;
    this.#where = where;
  }

  /** A whole number from 1 to the limit of the field. */
  count(field: string, fallback?: number): number {
    const value = this.#config[field] ?? fallback;
    const limit = limits.get(field) ?? MAX_COUNT;
    if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= limit) return value;
    throw this.#error(field, `a whole number from 1 to ${limit}`, value);
  }

  /** A count that may be null: there is none then, and `absent` where the field is left out. */
  optionalCount(field: string, absent?: number): number | undefined {
    const value = this.#config[field];
    if (value === null || (value === undefined && absent === undefined)) return undefined;
    return this.count(field, absent);
  }

  positive(field: string, fallback?: number): number {
    const value = this.#config[field] ?? fallback;
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    throw this.#error(field, "a number above 0", value);
  }

  /** A number above 0 that may be null: there is none then, and `absent` where the field is left out. */
  optionalPositive(field: string, absent?: number): number | undefined {
    const value = this.#config[field];
    if (value === null || (value === undefined && absent === undefined)) return undefined;
    return this.positive(field, absent);
  }

  flag(field: string, fallback: boolean): boolean {
    const value = this.#config[field] ?? fallback;
    if (typeof value === "boolean") return value;
    throw this.#error(field, "true or false", value);
  }

  text(field: string, fallback?: string): string {
    const value = this.#config[field] ?? fallback;
    if (typeof value === "string") return value;
    throw this.#error(field, "a text", value);
  }

  /** A list, or undefined where it is absent or null. */
  list(field: string): readonly unknown[] | undefined {
    const value = this.#config[field];
    if (value === undefined || value === null) return undefined;
    if (Array.isArray(value)) return value;
    throw this.#error(field, "a list", value);
  }

  /** A list of so many positive numbers. */
  positives(field: string, count: number): readonly number[] {
    const values = this.list(field) ?? [];
    const isPositive = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value) && value > 0;
    if (values.length === count && values.every(isPositive)) return values;
    throw this.#error(field, `a list of ${count} numbers above 0`, this.#config[field]);
  }

  /** A nested record, or undefined where it is absent or null. */
  record(field: string): Readonly<Record<string, unknown>> | undefined {
    const value = this.#config[field];
    if (value === undefined || value === null) return undefined;
    if (typeof value === "object" && !Array.isArray(value)) return value as Record<string, unknown>;
    throw this.#error(field, "a record", value);
  }

  #error(field: string, expected: string, found: unknown): InputError {
    const shown = found === undefined ? "nothing" : JSON.stringify(found).slice(0, 80);
    return new InputError(`${this.#where}: "${field}" must be ${expected}, found ${shown}. Is the checkpoint complete?`);
  }
}
