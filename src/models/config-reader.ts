import { InputError } from "../errors.js";

/** No configuration of a model that fits a computer has a larger count than this. */
const MAX_COUNT = 1e8;

/** Reads fields of a `config.json`, each with its bounds; errors name the field and what stood there. */
export class ConfigReader {
  readonly #config: Readonly<Record<string, unknown>>;
  readonly #where: string;

  constructor(config: Readonly<Record<string, unknown>>, where = "config.json") {
    this.#config = config;
    this.#where = where;
  }

  /** A whole number from 1 to 10⁸. */
  count(field: string, fallback?: number): number {
    const value = this.#config[field] ?? fallback;
    if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MAX_COUNT) return value;
    throw this.#error(field, "a whole number above 0", value);
  }

  positive(field: string, fallback?: number): number {
    const value = this.#config[field] ?? fallback;
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    throw this.#error(field, "a number above 0", value);
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

  /** A nested record, or undefined where it is absent or null. */
  record(field: string): Readonly<Record<string, unknown>> | undefined {
    const value = this.#config[field];
    if (value === undefined || value === null) return undefined;
    if (typeof value === "object" && !Array.isArray(value)) return value as Record<string, unknown>;
    throw this.#error(field, "a record", value);
  }

  numbers(field: string): readonly number[] | undefined {
    const value = this.#config[field];
    if (value === undefined || value === null) return undefined;
    if (Array.isArray(value) && value.every((item) => typeof item === "number" && Number.isFinite(item))) return value;
    throw this.#error(field, "a list of numbers", value);
  }

  #error(field: string, expected: string, found: unknown): InputError {
    const shown = found === undefined ? "nothing" : JSON.stringify(found).slice(0, 80);
    return new InputError(`${this.#where}: "${field}" must be ${expected}, found ${shown}. Is the checkpoint complete?`);
  }
}
