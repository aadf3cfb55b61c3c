import type { Graph, Tensor } from "../graph/graph.js";
import { HEAD_WEIGHT, type ModelGraph } from "../models/architecture.js";
import { adapterInputName } from "./attach.js";
import type { AdapterLayout, LayoutEntry } from "./layout.js";

/** The weights of a model in a graph: those that are trained whole are fed, the others frozen. */
export interface ModelWeights {
  /** Input name → its place in the vector of trainables, for all that is trained whole, in the order of the vector. */
  readonly inputs: ReadonlyMap<string, LayoutEntry>;
  /** The weight that is read under this name. */
  weight(name: string, shape: readonly number[]): Tensor;
  /** The weight [V, C] of the head of a language model. */
  head(): Tensor;
  /** What is trained whole under this name; undefined where that is nothing. */
  trained(name: string): Tensor | undefined;
}

/** The weights of a model as a graph reads them beside an adapter, or without one. */
export function modelWeights(
  graph: Graph,
  layout: AdapterLayout | undefined,
  { head, dimensions }: Pick<ModelGraph, "head" | "dimensions">,
): ModelWeights {
  const modules = layout?.modules ?? [];
  const byPlace = new Map(modules.flatMap((entry) => (entry.places ?? [entry.name]).map((place) => [place, entry] as const)));
  const trained = (name: string) => {
    const entry = byPlace.get(name);
    return entry && graph.input(adapterInputName(entry), { dtype: "float32", shape: entry.shape });
  };
  return {
    inputs: new Map(modules.map((entry) => [adapterInputName(entry), entry])),
    weight: (name, shape) => trained(name) ?? graph.weight(name, shape),
    head: () => {
      if (head === undefined) throw new Error("the model predicts no token, and has no head for it");
      // Where it is the table of embeddings, training that alone leaves the head as it was, as in PEFT.
      return trained(HEAD_WEIGHT) ?? graph.weight(head, [dimensions.vocabulary, dimensions.hidden]);
    },
    trained,
  };
}
