import type { ModelGraph } from "../models/architecture.js";
import type { Adapter } from "./adapter.js";

/** What the bare BERT and RoBERTa of transformers have behind their states, and no vector of a text depends on. */
const POOLER = /(^|\.)pooler\.dense$/;

/**
 * An adapter that was trained beside a bare model, such as a BertModel, by the names of the model with a head: PEFT writes
 * `encoder.layer.0.…` for the one and `bert.encoder.layer.0.…` for the other. One of the pooler is left out.
 */
export function fromBareModel(
  adapter: Adapter,
  { linearGroups, checkpointForm }: Pick<ModelGraph, "linearGroups" | "checkpointForm">,
): Adapter {
  const known = new Set(linearGroups.flat().map(({ name }) => name));
  const ownName = (name: string) =>
    [
      name,
      ...(checkpointForm?.prefixes ?? []).flatMap(([own, stored]) => (name.startsWith(stored) ? [own + name.slice(stored.length)] : [])),
    ].find((one) => known.has(one)) ?? name;
  const layers = adapter.layers.filter(({ name }) => !POOLER.test(name)).map((layer) => ({ ...layer, name: ownName(layer.name) }));
  return { ...adapter, layers };
}
