import { closestMatch } from "leven";
import * as z from "zod";
import { InputError } from "../errors.js";
import { helpFor, type OptionInfo } from "./option.js";

/** The options of one workflow, each declared with `option`. */
export type Shape = Readonly<Record<string, z.ZodType>>;

/** What a caller writes: options with a default may be left out. */
export type OptionsOf<S extends Shape> = z.input<z.ZodObject<{ -readonly [K in keyof S]: S[K] }>>;

/** What the schema makes of it: defaults filled in. */
export type ValuesOf<S extends Shape> = z.output<z.ZodObject<{ -readonly [K in keyof S]: S[K] }>>;

/** How a door writes an option's name: `--batch-size`, `run.yaml: batchSize`, `batchSize`. */
export type OptionSource = (name: string, info?: OptionInfo) => string;

/**
 * One workflow's options: the schema, the rules between options, and the record that the workflow works with (`Settings`).
 * `Written` is what a caller writes; it is narrower than the schema where options exclude one another.
 */
export interface OptionSet<S extends Shape, Settings, Written = OptionsOf<S>> {
  readonly name: string;
  /** One sentence for help. */
  readonly summary: string;
  readonly shape: S;
  /** Problems between options (exclusive choices), one line each; handed what was written and how to name it. */
  readonly rules: (given: Readonly<Record<string, unknown>>, where: (name: string) => string) => readonly string[];
  /** Turns exclusive choices into discriminated unions. */
  readonly settle: (values: ValuesOf<S>) => Settings;
  /** Never set: it carries the type alone. */
  readonly written?: Written;
}

/** Declares a workflow's options whose values need no settling. */
export function optionSet<const S extends Shape>(
  name: string,
  summary: string,
  shape: S,
  rules: OptionSet<S, ValuesOf<S>>["rules"] = () => [],
): OptionSet<S, ValuesOf<S>> {
  return { name, summary, shape, rules, settle: (values) => values };
}

/** `batchSize` → `--batch-size`. */
export function flagName(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** The command line: a flag, or the value's name for what is taken by position. */
export const onCommandLine: OptionSource = (name, info) =>
  info?.positional === true ? info.value : info?.default === true ? flagName(name).replace("--", "--no-") : flagName(name);

/** The library: the property's name. */
export const inCode: OptionSource = (name) => `options.${name}`;

/** A file of options, under the name that the user gave it. */
export function inFile(path: string): OptionSource {
  return (name) => `${path}: ${name}`;
}

/**
 * Checks a record against a workflow's options and returns what the workflow works with.
 * @throws InputError that names every problem: where, what was expected, what was found.
 */
export function parseOptions<S extends Shape, Settings>(
  set: OptionSet<S, Settings, unknown>,
  record: unknown,
  source: OptionSource,
): Settings {
  return set.settle(check(set, record, source));
}

/**
 * Checks like `parseOptions` and returns the record as it was written, typed, for a door that hands it on.
 * @throws InputError like `parseOptions`.
 */
export function checkOptions<S extends Shape, Written>(
  set: OptionSet<S, unknown, Written>,
  record: unknown,
  source: OptionSource,
): Written {
  check(set, record, source);
  return record as Written;
}

function check<S extends Shape>(set: OptionSet<S, unknown, unknown>, record: unknown, source: OptionSource): ValuesOf<S> {
  if (typeof record !== "object" || record === null || Array.isArray(record)) {
    throw new InputError(`The options of ${set.name} must be a record of names and values; found ${shown(record)}.`);
  }
  const given: Readonly<Record<string, unknown>> = Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
  const where = (name: string) => source(name, Object.hasOwn(set.shape, name) ? infoOf(set.shape, name) : undefined);
  const parsed = z.strictObject(set.shape).safeParse(given);
  const problems = parsed.success ? [] : problemsOf(set.shape, given, parsed.error.issues, where);
  problems.push(...set.rules(given, where));
  if (problems.length === 1) throw new InputError(problems.join(""));
  if (problems.length > 1 || !parsed.success)
    throw new InputError(`${problems.length} problems:\n${problems.map((line) => `  ${line}`).join("\n")}`);
  return parsed.data as ValuesOf<S>;
}

function problemsOf(
  shape: Shape,
  given: Readonly<Record<string, unknown>>,
  issues: readonly z.core.$ZodIssue[],
  where: (name: string) => string,
): string[] {
  const lines = new Map<string, string>(); // one line an option, however many rules of its value are broken
  for (const issue of issues) {
    if (issue.code === "unrecognized_keys") {
      for (const key of issue.keys) lines.set(key, `${where(key)}: there is no such option${suggestion(key, Object.keys(shape))}`);
      continue;
    }
    const name = String(issue.path[0]);
    if (lines.has(name)) continue;
    const info = infoOf(shape, name);
    const detail = issue.code === "custom" ? ` (${issue.message})` : "";
    lines.set(
      name,
      Object.hasOwn(given, name)
        ? `${where(name)}: expected ${info.expected}; found ${shown(given[name])}${detail}`
        : `${where(name)} is missing: expected ${info.expected}`,
    );
  }
  return [...lines.values()];
}

/** The words for one option of a shape. */
export function infoOf(shape: Shape, name: string): OptionInfo {
  const declared = Object.hasOwn(shape, name) ? shape[name] : undefined;
  if (declared === undefined) throw new TypeError(`There is no option ${name}.`);
  return helpFor(declared);
}

/** "; did you mean batchSize?" where a known name is near: the same letters, or at most a third of them different. */
export function suggestion(name: string, known: readonly string[]): string {
  const plain = (text: string) => text.replace(/[-_]/g, "").toLowerCase();
  const byPlain = new Map(known.map((each) => [plain(each), each]));
  const nearest = closestMatch(plain(name), [...byPlain.keys()], { maxDistance: Math.max(1, Math.ceil(name.length / 3)) });
  const match = nearest === undefined ? undefined : byPlain.get(nearest);
  return match === undefined ? `; there are ${known.join(", ")}` : `; did you mean ${match}?`;
}

function shown(value: unknown): string {
  if (typeof value === "number" || typeof value === "bigint") return String(value); // JSON writes NaN as null
  const json = JSON.stringify(value) ?? String(value);
  return json.length > 80 ? `${json.slice(0, 77)}...` : json;
}
