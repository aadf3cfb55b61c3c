import leven from "leven";
import { InputError, reasonOf } from "../errors.js";
import { compileTest } from "../patterns/pattern.js";
import type { LinearLayer } from "./layer.js";

/** Which layers carry an adapter. A pattern is a regular expression for a layer's whole path. */
export type LayerSelection =
  | { readonly kind: "all-linear" }
  /** What PEFT takes where no target_modules are given. */
  | { readonly kind: "peft" }
  | { readonly kind: "names"; readonly names: readonly string[] }
  | { readonly kind: "pattern"; readonly pattern: string };

/** Patterns come from configuration files too; a longer one is no name of a layer. */
const MAX_PATTERN_CHARACTERS = 10_000;
/** As many names as an error lists. */
const LISTED_NAMES = 12;

/**
 * The layers that a selection names, in the model's order, matched as PEFT 0.21 does: excluded layers go first; a name is a whole path or
 * its end after a dot (`q_proj`, `self_attn.q_proj`); a pattern matches a whole path; `all-linear` is every layer that a model lists.
 * Unlike in PEFT, every single name must match: a name that does nothing is an error, not a silence.
 */
export function selectLayers<Layer extends LinearLayer>(
  layers: readonly Layer[],
  selection: LayerSelection,
  excluded?: LayerSelection,
): Layer[] {
  if (excluded !== undefined) {
    const left = new Set(selectLayers(layers, excluded));
    return selectLayers(
      layers.filter((layer) => !left.has(layer)),
      selection,
    );
  }
  if (selection.kind === "all-linear") return [...layers];
  if (selection.kind === "peft") return selectLayers(layers, { kind: "names", names: defaultTargets(layers) });
  const wanted = selection.kind === "pattern" ? [selection.pattern] : selection.names;
  const tests = selection.kind === "pattern" ? [patternTest(selection.pattern)] : selection.names.map(nameTest);
  const unmatched = wanted.filter((_, index) => !layers.some((layer) => tests[index]?.(layer.name) === true));
  if (unmatched.length > 0 || wanted.length === 0) throw nothingMatched(layers, selection.kind, unmatched);
  return layers.filter((layer) => tests.some((test) => test(layer.name)));
}

/** PEFT 0.21's choices for the models that are read here, by the names of their layers; the first that a model has is its own. */
const peftTargets: readonly (readonly string[])[] = [["q_proj", "v_proj"], ["query", "value"], ["c_attn"]];

function defaultTargets(layers: readonly LinearLayer[]): readonly string[] {
  const known = new Set(layers.map(({ name }) => lastPart(name)));
  const found = peftTargets.find((names) => names.every((name) => known.has(name)));
  if (found !== undefined) return found;
  throw new InputError(`PEFT takes no layers of this model by default: name them. ${listing("Layers", [...known])}`);
}

/** True for a layer that `name` means: the whole path, or its end after a dot. */
export function nameTest(name: string): (layer: string) => boolean {
  return (layer) => layer === name || layer.endsWith(`.${name}`);
}

/** True for a layer whose whole path the pattern matches. Python's named groups are understood. */
export const patternTest = (pattern: string): ((layer: string) => boolean) => compileLayerPattern(pattern, (source) => source);

/** True for a layer whose path, or its end after a dot, the key of a rank_pattern or alpha_pattern matches. */
export const patternKeyTest = (key: string): ((layer: string) => boolean) =>
  compileLayerPattern(key, (source) => `(?:.*\\.)?(?:${source})`);

/** Tests by their sources: each is asked of every layer. */
const compiled = new Map<string, (layer: string) => boolean>();
const MAX_COMPILED = 1000;

function compileLayerPattern(pattern: string, wrap: (source: string) => string): (layer: string) => boolean {
  const source = wrap(pattern.replaceAll("(?P<", "(?<"));
  const known = compiled.get(source);
  if (known !== undefined) return known;
  if (pattern.length > MAX_PATTERN_CHARACTERS) {
    throw new InputError(`A layer pattern of ${pattern.length} characters is too long; at most ${MAX_PATTERN_CHARACTERS} are read.`);
  }
  try {
    const made = compileTest(source, { dotAll: true });
    if (compiled.size >= MAX_COMPILED) compiled.clear();
    compiled.set(source, made);
    return made;
  } catch (cause) {
    const reason = reasonOf(cause, "its groups lie too deep");
    throw new InputError(`The layer pattern ${JSON.stringify(pattern)} is not a regular expression that can be run: ${reason}.`, { cause });
  }
}

/**
 * The shortest names that mean exactly the adapted layers among all of a model: the last part of their paths where that is exact,
 * else whole paths. This is what a PEFT configuration lists in `target_modules`.
 */
export function shortestNames(adapted: readonly string[], all: readonly string[]): string[] {
  const short = [...new Set(adapted.map(lastPart))];
  const meant = all.filter((layer) => short.some((name) => nameTest(name)(layer)));
  return meant.length === new Set(adapted).size ? short : [...adapted];
}

/** The names nearest to one that was not found, nearest first: last parts of paths for a plain name, whole paths for a path. */
export function nearestNames(wanted: string, layers: readonly string[], limit = LISTED_NAMES): string[] {
  const candidates = wanted.includes(".") ? layers : layers.map(lastPart);
  return [...new Set(candidates)]
    .map((name) => ({ name, distance: leven(wanted, name) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, limit)
    .map(({ name }) => name);
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

function nothingMatched(layers: readonly LinearLayer[], kind: "names" | "pattern", unmatched: readonly string[]): InputError {
  const names = layers.map((layer) => layer.name);
  if (unmatched.length === 0) return new InputError(`No layer is named. ${listing("Layers", [...new Set(names.map(lastPart))])}`);
  if (kind === "pattern") {
    const [pattern = ""] = unmatched;
    const matchedInPart = names.filter((name) => patternTest(`.*(?:${pattern}).*`)(name));
    const advice = matchedInPart.length > 0 ? ` It must match from start to end: try ${JSON.stringify(`.*${pattern}.*`)}.` : "";
    const paths = matchedInPart.length > 0 ? matchedInPart : names;
    return new InputError(`No layer's whole path matches the pattern ${JSON.stringify(pattern)}.${advice} ${listing("Paths", paths)}`);
  }
  const lines = unmatched.map((name) => `No layer is called ${JSON.stringify(name)}. ${listing("Nearest", nearestNames(name, names))}`);
  return new InputError(lines.join("\n"));
}

function listing(word: string, names: readonly string[]): string {
  return `${word}: ${names.slice(0, LISTED_NAMES).join(", ")}${names.length > LISTED_NAMES ? ", …" : ""}.`;
}

/** The number of the block that a layer lies in: the first number in its path; NaN outside of blocks. */
export function blockOf(layer: string): number {
  return Number(/\.(\d+)\./.exec(layer)?.[1] ?? Number.NaN);
}
