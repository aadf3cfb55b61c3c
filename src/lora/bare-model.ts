import type { ModelGraph } from "../models/architecture.js";
import type { Adapter } from "./adapter.js";

/** What the bare BERT and RoBERTa of transformers have behind their states, and no vector of a text depends on. */
const POOLER = /(^|\.)pooler\.dense$/;

/** The decoders' prefix, where a model's files name no other. */
const DECODER: readonly (readonly [string, string])[] = [["model.", ""]];

const prefixesOf = (form: ModelGraph["checkpointForm"]): readonly (readonly [string, string])[] => form?.prefixes ?? DECODER;

/** An adapter by the names of the bare model, as PEFT writes it beside an `AutoModel`; so are the layers that its configuration names. */
export function toBareModel(adapter: Adapter, { checkpointForm }: Pick<ModelGraph, "checkpointForm">): Adapter {
  const bareName = (name: string) => {
    const [own, stored] = prefixesOf(checkpointForm).find(([prefix]) => name.startsWith(prefix)) ?? ["", ""];
    return stored + name.slice(own.length);
  };
  const bareNames = <Names extends string | readonly string[] | undefined>(names: Names) =>
    (Array.isArray(names) ? names.map(bareName) : names) as Names; // an expression matches whatever it matches
  const bareKeys = (pattern: Readonly<Record<string, number>>) =>
    Object.fromEntries(Object.entries(pattern).map(([name, value]) => [bareName(name), value]));
  const { targetModules, excludeModules, rankPattern, alphaPattern, trainedModules } = adapter.config;
  return {
    ...adapter,
    config: {
      ...adapter.config,
      targetModules: bareNames(targetModules),
      excludeModules: bareNames(excludeModules),
      rankPattern: bareKeys(rankPattern),
      alphaPattern: bareKeys(alphaPattern),
      trainedModules: trainedModules.map(bareName),
    },
    layers: adapter.layers.map((layer) => ({ ...layer, name: bareName(layer.name) })),
    trained: adapter.trained?.map((tensor) => ({ ...tensor, name: bareName(tensor.name) })) ?? [],
  };
}

/** A layer that a bare model may have behind its states: names that stand for a choice of layers must not mean it too. */
export const poolerOf = ({ checkpointForm }: Pick<ModelGraph, "checkpointForm">): readonly { readonly name: string }[] =>
  prefixesOf(checkpointForm).map(([own]) => ({ name: `${own}pooler.dense` }));

/**
 * An adapter that was trained beside a bare model, such as a BertModel, by the names of the model with a head: PEFT writes
 * `encoder.layer.0.…` for the one and `bert.encoder.layer.0.…` for the other. One of the pooler is left out.
 */
export function fromBareModel(
  adapter: Adapter,
  { linearGroups, weights, checkpointForm }: Pick<ModelGraph, "linearGroups" | "weights" | "checkpointForm">,
): Adapter {
  const known = new Set([...linearGroups.flat().map(({ name }) => name), ...weights.keys()]);
  const ownName = (name: string) =>
    [
      name,
      ...prefixesOf(checkpointForm).flatMap(([own, stored]) => (name.startsWith(stored) ? [own + name.slice(stored.length)] : [])),
    ].find((one) => known.has(one)) ?? name;
  const layers = adapter.layers.filter(({ name }) => !POOLER.test(name)).map((layer) => ({ ...layer, name: ownName(layer.name) }));
  const trained = (adapter.trained ?? []).map((tensor) => ({ ...tensor, name: ownName(tensor.name) }));
  return { ...adapter, layers, trained };
}
