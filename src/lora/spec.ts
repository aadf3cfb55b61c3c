import { InputError } from "../errors.js";
import { HEAD_WEIGHT } from "../models/architecture.js";
import type { AdaptedLayer, LinearGroup, LinearLayer } from "./layer.js";
import { type AdapterLayout, buildLayout, type WholeTensor } from "./layout.js";
import { adaptableGroups, HEAD, type VocabularyModel } from "./tables.js";
import { blockOf, type LayerSelection, nearestNames, patternKeyTest, selectLayers } from "./targets.js";
import { tokenRows } from "./trained-tokens.js";
import { type Method, variantOf } from "./variants/index.js";
import type { Initialisation, VariantSettings } from "./variants/variant.js";
import { moduleOf, tiedPlaces, type WholeSelection, wholeTensors } from "./whole-tensors.js";

export type { Initialisation } from "./variants/variant.js";

/** What a new adapter shall be. */
export interface AdapterSpec extends WholeSelection {
  /** Plain LoRA by default. */
  readonly method?: Method;
  readonly rank: number;
  readonly alpha: number;
  /** α/√r in place of α/r; false by default. */
  readonly rankStabilised?: boolean;
  /** Probability with which an element of the adapter's input is dropped in training, 0 ≤ p < 1. */
  readonly dropout: number;
  readonly layers: LayerSelection;
  /** Layers among them that are left alone. */
  readonly exclude?: LayerSelection | undefined;
  /** Numbers of the blocks that alone are adapted, from 0. */
  readonly blocks?: readonly number[] | undefined;
  /** Ranks and alphas of layers that differ: pattern for (the end of) a path → value. The first match holds. */
  readonly rankPattern?: Readonly<Record<string, number>> | undefined;
  readonly alphaPattern?: Readonly<Record<string, number>> | undefined;
  readonly initialisation: Initialisation;
  /** What its variant is told beside. */
  readonly settings?: VariantSettings;
}

/** PEFT, llama.cpp and this library take any rank; beyond this one it is a slip of the finger. */
export const MAX_RANK = 4096;

/** The factor of the adapter's output. α/r: Hu et al. 2021, section 4.1; α/√r: Kalajdzievski 2023, "rsLoRA", theorem 3.2. */
export function adapterScale(alpha: number, rank: number, rankStabilised = false): number {
  return rankStabilised ? alpha / Math.sqrt(rank) : alpha / rank;
}

/** The rank and scale of a layer, by patterns as PEFT's `rank_pattern` and `alpha_pattern`. */
export function strengthOf(
  {
    rank,
    alpha,
    rankStabilised,
    rankPattern,
    alphaPattern,
  }: Pick<AdapterSpec, "rank" | "alpha" | "rankStabilised" | "rankPattern" | "alphaPattern">,
  layer: string,
): { rank: number; scale: number } {
  const own = firstMatch(rankPattern, layer) ?? rank;
  return { rank: own, scale: adapterScale(firstMatch(alphaPattern, layer) ?? alpha, own, rankStabilised) };
}

/**
 * A spec whose layers have these ranks, by name, in place of their own: each alpha grows as its layer's rank does. A layer of rank 0 gets
 * no adapter.
 */
export function withRanks(spec: AdapterSpec, ranks: ReadonlyMap<string, number>): AdapterSpec {
  const adapted = [...ranks].filter(([, rank]) => rank > 0);
  const alphaOf = (name: string, rank: number) => {
    const own = firstMatch(spec.rankPattern, name) ?? spec.rank;
    return ((firstMatch(spec.alphaPattern, name) ?? spec.alpha) * rank) / own;
  };
  const alphas = adapted.map(([name, rank]) => [name, alphaOf(name, rank)] as const);
  return {
    ...spec,
    layers: { kind: "names", names: adapted.map(([name]) => name) },
    exclude: undefined,
    blocks: undefined,
    rankPattern: Object.fromEntries(adapted.filter(([, rank]) => rank !== spec.rank)),
    alphaPattern: Object.fromEntries(alphas.filter(([, alpha]) => alpha !== spec.alpha)),
  };
}

function firstMatch(patterns: Readonly<Record<string, number>> = {}, layer: string): number | undefined {
  return Object.entries(patterns).find(([key]) => patternKeyTest(key)(layer))?.[1];
}

/** Throws InputError with everything that is wrong in a spec. */
function checkSpec(spec: AdapterSpec): void {
  const problems: string[] = [];
  if (!Number.isInteger(spec.rank) || spec.rank < 1 || spec.rank > MAX_RANK) {
    problems.push(`rank must be a whole number from 1 to ${MAX_RANK}, found ${spec.rank}`);
  }
  if (!Number.isFinite(spec.alpha) || spec.alpha <= 0) problems.push(`alpha must be a number above 0, found ${spec.alpha}`);
  if (!(spec.dropout >= 0 && spec.dropout < 1)) problems.push(`dropout must be at least 0 and below 1, found ${spec.dropout}`);
  if (problems.length > 0) throw new InputError(`The adapter cannot be made: ${problems.join("; ")}.`);
}

/**
 * The layers that a new adapter adapts, in the model's groups; a group without any is left out. Throws InputError where the spec is
 * wrong or a name matches no layer.
 */
export function adaptGroups(groups: readonly LinearGroup[], spec: AdapterSpec): (readonly AdaptedLayer[])[] {
  checkSpec(spec);
  const inBlocks = ({ name }: LinearLayer) => spec.blocks === undefined || spec.blocks.includes(blockOf(name));
  const chosen = new Set(selectLayers(groups.flat(), spec.layers, spec.exclude).filter(inBlocks));
  checkChosen(spec, groups.flat(), [...chosen]);
  const adapt = (layer: LinearLayer): AdaptedLayer => ({ ...layer, ...strengthOf(spec, layer.name) });
  return groups.map((group) => group.filter((layer) => chosen.has(layer)).map(adapt)).filter((group) => group.length > 0);
}

/**
 * The layout of a new adapter of a model. Throws InputError where the spec is wrong or a name in it means nothing.
 *
 * @param head what the task trains whole beside it
 */
export function layOutAdapter(model: VocabularyModel, spec: AdapterSpec, head: readonly WholeTensor[] = []): AdapterLayout {
  const named = spec.layers.kind === "names" || spec.layers.kind === "pattern";
  const groups = adaptGroups(named ? adaptableGroups(model) : model.linearGroups, spec);
  checkVocabulary(model, groups.flat(), spec);
  const tokens = spec.tokens === undefined ? [] : [tokenRows(model, spec.tokens)];
  const whole = wholeTensors(model, groups.flat(), spec);
  checkTokens(model, groups.flat(), whole, spec);
  return buildLayout(groups, [...whole, ...tokens, ...head], variantOf(spec.method ?? "lora"));
}

/** Not every method adapts the table of embeddings and the head, and none ties an adapter of the one to that of the other. */
function checkVocabulary(
  { embedding }: VocabularyModel,
  adapted: readonly LinearLayer[],
  { method = "lora", tiesWeights }: AdapterSpec,
): void {
  const names = adapted.map(({ name }) => name).filter((name) => name === moduleOf(embedding) || name === HEAD);
  if (names.length === 0) return;
  const problems: string[] = [];
  if (variantOf(method).lowRank === undefined)
    problems.push(
      `${names.join(" and ")}: the method ${method} adapts neither a table of embeddings nor a head; take the method lora, or leave it out`,
    );
  if (tiesWeights)
    problems.push(
      `${names.join(" and ")}: adapters of a table and of the head that is tied to it are not tied to each other; train the table whole (--modules-to-save, --tie-weights) or some tokens of it (--trainable-tokens), which the head sees`,
    );
  if (problems.length > 0) throw new InputError(`The adapter cannot be made: ${problems.join("; ")}.`);
}

/** More tokens than this are better trained as a whole table: each costs a column of the vocabulary in every product with the head. */
const MAX_TOKENS = 1024;

function checkTokens(
  model: VocabularyModel,
  adapted: readonly LinearLayer[],
  whole: readonly WholeTensor[],
  { tokens }: Pick<WholeSelection, "tokens">,
): void {
  if (tokens === undefined) return;
  const [rows = 0] = model.weights.get(model.embedding) ?? [];
  const problems: string[] = [];
  if (tokens.length === 0 || tokens.length > MAX_TOKENS)
    problems.push(
      `${tokens.length} tokens shall be trained, from 1 to ${MAX_TOKENS} can be: train the table whole (--modules-to-save ${moduleOf(model.embedding)})`,
    );
  const outside = tokens.filter((token) => !Number.isInteger(token) || token < 0 || token >= rows);
  if (outside.length > 0) problems.push(`the model's table has tokens 0 to ${rows - 1}, and none is ${outside.slice(0, 3).join(", ")}`);
  if (new Set(tokens).size < tokens.length) problems.push("a token is named twice");
  const [tied] = tiedPlaces(model);
  const places = tied === model.embedding ? [model.embedding, HEAD_WEIGHT] : [model.embedding];
  const taken = [...adapted.map(({ name }) => `${name}.weight`), ...whole.map(({ name }) => name)].filter((name) => places.includes(name));
  for (const name of taken) problems.push(`${moduleOf(name)} is trained already: leave it out, or leave out the tokens`);
  if (problems.length > 0) throw new InputError(`The adapter cannot be made: ${problems.join("; ")}.`);
}

/** What is said of blocks and layers must mean some of them: a slip would change nothing, silently. */
function checkChosen(
  { blocks = [], rankPattern, alphaPattern }: AdapterSpec,
  all: readonly LinearLayer[],
  chosen: readonly LinearLayer[],
): void {
  const known = new Set(all.map(({ name }) => blockOf(name)));
  const problems = blocks
    .filter((block) => !known.has(block))
    .map((block) => `there is no block ${block}; blocks are ${rangeOf([...known])}`);
  const names = chosen.map(({ name }) => name);
  for (const key of Object.keys({ ...rankPattern, ...alphaPattern })) {
    if (!names.some(patternKeyTest(key)))
      problems.push(`no adapted layer is called ${JSON.stringify(key)}; nearest: ${nearestNames(key, names).join(", ")}`);
  }
  if (chosen.length === 0 && problems.length === 0)
    problems.push("no layer is left to adapt: what is chosen is excluded, or lies in other blocks");
  if (problems.length > 0) throw new InputError(`The adapter cannot be made: ${problems.join("; ")}.`);
}

function rangeOf(numbers: readonly number[]): string {
  const found = numbers.filter(Number.isFinite);
  return `${Math.min(...found)} to ${Math.max(...found)}`;
}
