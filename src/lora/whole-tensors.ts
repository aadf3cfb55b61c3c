import { InputError } from "../errors.js";
import { HEAD_WEIGHT, type ModelGraph } from "../models/architecture.js";
import type { LinearLayer } from "./layer.js";
import type { WholeTensor } from "./layout.js";
import { nameTest, nearestNames } from "./targets.js";

/** Which biases are trained beside an adapter, as PEFT's `bias`: none, all of the model's, or those of the adapted layers. */
export const biasChoices = ["none", "all", "lora_only"] as const;
export type BiasChoice = (typeof biasChoices)[number];

/** What of a model is trained whole beside an adapter. */
export interface WholeSelection {
  /** None by default. */
  readonly bias?: BiasChoice | undefined;
  /** Modules by their whole paths or the ends of these, `lm_head` or `model.norm`: all weights below them. */
  readonly modules?: readonly string[] | undefined;
  /** Tokens whose rows of the table of embeddings are trained alone, as PEFT's `trainable_token_indices`. */
  readonly tokens?: readonly number[] | undefined;
  /** A table of embeddings and the head that is tied to it stay one: PEFT's `ensure_weight_tying`. Else each is trained by itself. */
  readonly tiesWeights?: boolean | undefined;
}

/** The weights of a model by the places where they are read: a head that is tied to the table of embeddings has a place of its own. */
export function placesOf({ weights, head }: Pick<ModelGraph, "weights" | "head">): ReadonlyMap<string, readonly number[]> {
  const shape = head === undefined ? undefined : weights.get(head);
  return shape === undefined ? weights : new Map([...weights, [HEAD_WEIGHT, shape]]);
}

/** The weight of the checkpoint that is read at a place. */
export const weightAt = (place: string, { head }: Pick<ModelGraph, "head">): string => (place === HEAD_WEIGHT ? (head ?? place) : place);

/** The table that a model's head is tied to; undefined where the head is a matrix of its own. */
const tiedTable = ({ head }: Pick<ModelGraph, "head">): string | undefined => (head === HEAD_WEIGHT ? undefined : head);

/** A table of embeddings that the head is tied to, and the head's place; none where the head is a matrix of its own. */
export function tiedPlaces(model: Pick<ModelGraph, "head">): readonly string[] {
  const table = tiedTable(model);
  return table === undefined ? [] : [table, HEAD_WEIGHT];
}

/** The modules of trained tensors that a selection names, by their whole paths: PEFT takes every module whose path ends like a name. */
export function trainedModulesOf(tensors: readonly WholeTensor[], { modules = [] }: WholeSelection): string[] {
  const named = tensors.filter(({ name, places = [name] }) => places.some((place) => modules.some((module) => isBelow(module, place))));
  return [...new Set(named.map(({ name }) => moduleOf(name)))];
}

/** The tensors that a selection means, in the model's order. Throws InputError with everything in it that means nothing. */
export function wholeTensors(
  model: Pick<ModelGraph, "weights" | "head" | "linearGroups">,
  adapted: readonly Pick<LinearLayer, "name">[],
  { bias = "none", modules = [], tiesWeights = false }: Omit<WholeSelection, "tokens">,
): WholeTensor[] {
  const places = placesOf(model);
  const biases = biasesOf([...places.keys()], adapted, bias);
  const chosen = new Set([...places.keys()].filter((place) => biases.has(place) || modules.some((name) => isBelow(name, place))));
  checkSelection({ places, adapted, chosen, biases }, { bias, modules });
  const table = tiesWeights ? tableToTie(model, chosen) : undefined;
  const isTied = (name: string) => table !== undefined && name === HEAD_WEIGHT;
  return [...places]
    .filter(([name]) => (chosen.has(name) || name === table) && !isTied(name))
    .map(([name, shape]) => whole(model, name, shape, name === table));
}

/** All that a model reads, a table and the head that is tied to it as one. */
export function everyWeight(model: Pick<ModelGraph, "weights" | "head" | "linearGroups">): WholeTensor[] {
  const table = tiedTable(model);
  return [...model.weights].map(([name, shape]) => whole(model, name, shape, name === table));
}

function whole(model: Pick<ModelGraph, "linearGroups" | "head">, name: string, shape: readonly number[], isTied: boolean): WholeTensor {
  return {
    name,
    shape,
    ...(conv1dWeights(model.linearGroups).has(name) ? { isConv1D: true } : {}),
    ...(isTied ? { places: tiedPlaces(model) } : {}),
  };
}

/** Names of the weights that checkpoints have as [in, out]. */
export const conv1dWeights = (groups: ModelGraph["linearGroups"]): ReadonlySet<string> =>
  new Set(groups.flat().flatMap(({ name, isConv1D }) => (isConv1D ? [`${name}.weight`] : [])));

function biasesOf(places: readonly string[], adapted: readonly Pick<LinearLayer, "name">[], bias: BiasChoice): ReadonlySet<string> {
  const all = places.filter((place) => place.endsWith(".bias"));
  const own = new Set(adapted.map(({ name }) => `${name}.bias`));
  return new Set(bias === "none" ? [] : bias === "all" ? all : all.filter((place) => own.has(place)));
}

/** The module that a tensor belongs to. */
export const moduleOf = (tensor: string): string => tensor.slice(0, tensor.lastIndexOf("."));

/** Whether a tensor lies in a module of this name, or in a module inside of it. */
function isBelow(name: string, tensor: string): boolean {
  const test = nameTest(name);
  for (let path = moduleOf(tensor); path !== ""; path = path.includes(".") ? moduleOf(path) : "") if (test(path)) return true;
  return false;
}

interface Chosen {
  readonly places: ReadonlyMap<string, readonly number[]>;
  readonly adapted: readonly Pick<LinearLayer, "name">[];
  readonly chosen: ReadonlySet<string>;
  readonly biases: ReadonlySet<string>;
}

/** What names nothing would change nothing, silently; what is adapted is not trained whole too. */
function checkSelection(
  { places, adapted, chosen, biases }: Chosen,
  { bias, modules }: { readonly bias: BiasChoice; readonly modules: readonly string[] },
): void {
  const known = [...places.keys()].map(moduleOf);
  const problems = modules
    .filter((name) => ![...places.keys()].some((place) => isBelow(name, place)))
    .map((name) => `the model has no module called ${JSON.stringify(name)}; nearest: ${nearestNames(name, known).join(", ")}`);
  if (bias !== "none" && biases.size === 0) {
    const where = bias === "all" ? "the model has" : "the adapted layers have";
    problems.push(`${where} no bias that could be trained (bias ${bias})`);
  }
  const layers = new Set(adapted.map(({ name }) => name));
  const twice = new Set([...chosen].filter((place) => !biases.has(place) && layers.has(moduleOf(place))).map(moduleOf));
  if (twice.size > 0) {
    const [first] = twice;
    problems.push(`${first}${twice.size > 1 ? ` and ${twice.size - 1} more` : ""} would get an adapter and be trained whole: exclude one`);
  }
  if (problems.length > 0) throw new InputError(`The adapter cannot be made: ${problems.join("; ")}.`);
}

/** The table that is trained as the head too. */
function tableToTie(model: Pick<ModelGraph, "head">, chosen: ReadonlySet<string>): string {
  const table = tiedTable(model);
  if (table === undefined || !(chosen.has(table) || chosen.has(HEAD_WEIGHT))) {
    const reason =
      table === undefined
        ? "the model's head is not tied to its table of embeddings"
        : "neither the table of embeddings nor the head is trained";
    throw new InputError(`The adapter cannot be made: weights shall stay tied, but ${reason}.`);
  }
  return table;
}
