import { InputError } from "../../errors.js";
import type { Adapter } from "../adapter.js";
import { isSameModel } from "../fit.js";
import { MAX_RANK } from "../spec.js";
import type { WeightedLayer } from "./combine-layer.js";
import { type CombinationType, recipes } from "./types.js";

/** An adapter of a combination. */
export interface Part {
  /** What the expression calls it. */
  readonly name: string;
  readonly weight: number;
  readonly adapter: Adapter;
}

/** The layers of several adapters at one place of the model. */
export type LayersByName = ReadonlyMap<string, readonly WeightedLayer[]>;

/** As many problems as one error spells out; the rest are counted. */
const LISTED = 10;

/** Throws InputError where adapters name different models as their base. */
export function checkBases(parts: readonly Part[]): void {
  const named = parts.flatMap(({ name, adapter: { config } }) =>
    config.baseModel === undefined ? [] : [{ name, base: config.baseModel }],
  );
  const [first] = named;
  const other = named.find(({ base }) => first !== undefined && !isSameModel(base, first.base));
  if (first === undefined || other === undefined) return;
  throw new InputError(
    `${first.name} was trained for ${first.base}, ${other.name} for ${other.base}: changes of different weights do not add up. Where both names mean the same weights, say so: --same-base.`,
  );
}

/** Throws InputError with every layer whose sides differ, or whose ranks do where a type needs equal ones. */
export function checkLayers(layers: LayersByName, type: CombinationType, parts: readonly Part[]): void {
  const nameOf = ({ adapter }: WeightedLayer) => parts[adapter]?.name ?? "";
  const sides = differences(layers, nameOf, ({ layer }) => `[${layer.outputs}, ${layer.inputs}]`);
  if (sides.length > 0) throw refusal(sides, "They belong to different models.");
  if (recipes[type].on === "factors") {
    const ranks = differences(layers, nameOf, ({ layer }) => `of rank ${layer.rank}`);
    const advice = `The type ${type} adds A to A and B to B, which takes equal ranks. Take ${type === "linear" ? "cat or svd" : `${type}_svd`}, or resize one: lorikeet resize.`;
    if (ranks.length > 0) throw refusal(ranks, advice);
  }
  const wide = [...layers].map(([name, terms]) => ({ name, rank: terms.reduce((sum, { layer }) => sum + layer.rank, 0) }));
  const most = wide
    .filter(({ rank }) => rank > MAX_RANK)
    .map(({ name, rank }) => `${name} would have rank ${rank}; at most ${MAX_RANK} is written`);
  if (type === "cat" && most.length > 0) throw refusal(most, "Reduce the sum to a rank: --rank N.");
}

/** Where layers of one name differ from the first of them. */
function differences(layers: LayersByName, nameOf: (term: WeightedLayer) => string, what: (term: WeightedLayer) => string): string[] {
  return [...layers].flatMap(([name, [first, ...others]]) =>
    first === undefined
      ? []
      : others
          .filter((other) => what(other) !== what(first))
          .map((other) => `${name} is ${what(first)} in ${nameOf(first)}, ${what(other)} in ${nameOf(other)}`),
  );
}

function refusal(problems: readonly string[], advice: string): InputError {
  const shown = problems.slice(0, LISTED).map((problem) => `\n- ${problem}`);
  const rest = problems.length > LISTED ? `\n- and ${problems.length - LISTED} more` : "";
  return new InputError(`The adapters cannot be combined:${shown.join("")}${rest}\n${advice}`);
}

/**
 * The one adapter whose head, or whatever it trained whole, the combination takes over; undefined where none has any. Such tensors are not
 * changes that could be added up.
 *
 * @throws InputError where several adapters have some, as PEFT does, and where the one that has counts more or less than once.
 */
export function carrierOf(parts: readonly Part[]): Part | undefined {
  const carriers = parts.filter(({ adapter }) => (adapter.trained ?? []).length > 0);
  const [first, second] = carriers;
  if (first === undefined) return undefined;
  const names = (first.adapter.trained ?? []).map(({ name }) => name).join(", ");
  if (second !== undefined)
    throw new InputError(
      `${first.name} and ${second.name} both hold tensors that were trained whole, a head for labels or weights of the model (${names}). They are not changes that add up: combine at most one such adapter.`,
    );
  if (first.weight !== 1)
    throw new InputError(
      `${first.name} holds tensors that were trained whole (${names}), which are taken over as they are: in the expression its factor must be 1, found ${first.weight}.`,
    );
  return first;
}
