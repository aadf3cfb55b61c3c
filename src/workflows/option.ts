import * as z from "zod";

/** The kinds of value an option takes. The command line reads its text by kind; the documentation names it. */
export type OptionKind =
  | "text"
  | "integer"
  | "number"
  | "numbers"
  | "switch"
  | "choice"
  | "texts"
  | "layers"
  | "numbersByLayer"
  | "columns"
  | "size"
  | "blocks"
  | "weights";

/** What every door (command line, config file, library, documentation) knows of one option. */
export interface OptionInfo {
  readonly kind: OptionKind;
  /** What the option does and when to change it, in plain words. */
  readonly help: string;
  /** The name of the value in help, such as N or FILE; empty for a switch. */
  readonly value: string;
  /** What a valid value is, in words that fit after "expected". */
  readonly expected: string;
  readonly unit: string | undefined;
  /** The heading under which help lists it. */
  readonly group: string;
  readonly required: boolean;
  readonly default: unknown;
  /** What happens without the option where no constant says it. */
  readonly without: string | undefined;
  /** Whether the command line takes it by position instead of by flag. */
  readonly positional: boolean;
}

/** A kind of value: its schema, and the words for it. */
export interface ValueKind<T extends z.ZodType> {
  readonly schema: T;
  readonly kind: OptionKind;
  readonly expected: string;
}

interface Bounds {
  readonly min?: number;
  readonly max?: number;
  readonly above?: number;
  readonly below?: number;
}

interface Words {
  readonly help: string;
  readonly value?: string;
  readonly unit?: string;
  readonly group: string;
  readonly without?: string;
  readonly positional?: boolean;
}

const registry = z.registry<OptionInfo>();

/** Declares an option: with `required`, with a default, or optional; the words are kept for all doors. */
export function option<T extends z.ZodType>(kind: ValueKind<T>, words: Words & { readonly required: true }): T;
export function option<T extends z.ZodType>(kind: ValueKind<T>, words: Words & { readonly default: z.input<T> }): z.ZodPrefault<T>;
export function option<T extends z.ZodType>(kind: ValueKind<T>, words: Words): z.ZodOptional<T>;
export function option(kind: ValueKind<z.ZodType>, words: Words & { readonly required?: boolean; readonly default?: unknown }): z.ZodType {
  const required = words.required ?? false;
  // A clone, because one kind may serve several options and the registry knows a schema by identity.
  const schema = required
    ? kind.schema.clone()
    : words.default === undefined
      ? z.optional(kind.schema)
      : z.prefault(kind.schema, words.default);
  registry.add(schema, {
    kind: kind.kind,
    help: words.help,
    value: words.value ?? "",
    expected: kind.expected,
    unit: words.unit,
    group: words.group,
    required,
    default: words.default,
    without: words.without,
    positional: words.positional ?? false,
  });
  return schema;
}

/** The words of an option declared with `option`. */
export function helpFor(declared: z.ZodType): OptionInfo {
  const info = registry.get(declared);
  if (info === undefined) throw new TypeError("This schema was not declared with option().");
  return info;
}

function boundsInWords({ min, max, above, below }: Bounds): string {
  const low = min !== undefined ? `from ${min}` : above !== undefined ? `above ${above}` : "";
  if (below !== undefined) return `${low} and below ${below}`;
  if (max !== undefined) return min !== undefined ? `${low} to ${max}` : `${low}, at most ${max}`;
  return low;
}

function bounded(schema: z.ZodNumber, { min, max, above, below }: Bounds): z.ZodNumber {
  let result = schema;
  if (min !== undefined) result = result.min(min);
  if (max !== undefined) result = result.max(max);
  if (above !== undefined) result = result.gt(above);
  if (below !== undefined) result = result.lt(below);
  return result;
}

/** A whole number within bounds. */
export function integer(bounds: Bounds): ValueKind<z.ZodNumber> {
  return { kind: "integer", schema: bounded(z.int(), bounds), expected: `a whole number ${boundsInWords(bounds)}`.trimEnd() };
}

/** A finite number within bounds. */
export function number(bounds: Bounds): ValueKind<z.ZodNumber> {
  return { kind: "number", schema: bounded(z.number(), bounds), expected: `a number ${boundsInWords(bounds)}`.trimEnd() };
}

/** A text that is not empty, `expected` saying what it stands for. */
export function text(expected: string): ValueKind<z.ZodString> {
  return { kind: "text", schema: z.string().min(1), expected };
}

/** Several texts; on the command line the flag is repeated. A single text is taken for a list of one. */
export function texts(expected: string): ValueKind<z.ZodType<readonly string[], string | readonly string[]>> {
  const one = z.string().min(1);
  const schema = z
    .union([one, z.array(one).readonly()])
    .transform((value): readonly string[] => (typeof value === "string" ? [value] : value));
  return { kind: "texts", schema, expected };
}

/** Two decay rates, each from 0 and below 1. */
export function ratePair(): ValueKind<z.ZodType<[number, number], [number, number]>> {
  const rate = z.number().min(0).lt(1);
  return { kind: "numbers", schema: z.tuple([rate, rate]), expected: "two numbers from 0 and below 1" };
}

/** On or off. */
export function toggle(): ValueKind<z.ZodBoolean> {
  return { kind: "switch", schema: z.boolean(), expected: "true or false" };
}

/** One of a few words. */
export function choice<const Names extends readonly [string, ...string[]]>(
  names: Names,
): ValueKind<z.ZodEnum<{ [Name in Names[number]]: Name }>> {
  return { kind: "choice", schema: z.enum(names), expected: names.length === 1 ? names[0] : `one of ${names.join(", ")}` };
}
