import type { Graph, Tensor } from "../graph/graph.js";
import type { LinearGroup, LinearLayer, ModelContext } from "../models/architecture.js";
import { linear } from "../ops/linear.js";
import { splitColumns } from "../ops/split-columns.js";
import type { AdapterLayout, LaidOutGroup, LayoutEntry } from "./layout.js";

/** Matrices of an adapter as inputs of a graph. */
export interface AttachedAdapter {
  readonly linear: ModelContext["linear"];
  /** Input name → its place in the adapter's flat vector, in the order of the vector. */
  readonly inputs: ReadonlyMap<string, LayoutEntry>;
}

/**
 * Puts an adapter beside the frozen layers of a model: y = x·Wᵀ + s·x·Aᵀ·Bᵀ (Hu et al. 2021, eq. 3). The A matrices of
 * layers that share an input are one product; a layer without an adapter is the base's alone.
 *
 * @param base x [N, in] through the frozen layer, [N, out]
 * @param regularise what the adapter's own input goes through in training, such as dropout. Layers that share an input
 *   share it, where PEFT draws a mask for each: the expectation is the same, the masks of q, k and v are then equal.
 */
export function attachAdapter(
  graph: Graph,
  layout: AdapterLayout,
  base: (x: Tensor, layer: LinearLayer) => Tensor,
  regularise: (x: Tensor) => Tensor = (x) => x,
): AttachedAdapter {
  const inputs = new Map<string, LayoutEntry>();
  const groups = new Map(layout.groups.flatMap((group) => group.layers.map((layer) => [layer.name, group] as const)));
  const matrix = (entry: LayoutEntry): Tensor => {
    const name = adapterInputName(entry);
    inputs.set(name, entry);
    return graph.input(name, { dtype: "float32", shape: entry.shape });
  };
  for (const group of layout.groups) for (const entry of [group.stackedA, ...group.layers.map(({ b }) => b)]) matrix(entry);

  const adapted = (x: Tensor, { layers, stackedA }: LaidOutGroup) => {
    const down = linear(regularise(x), matrix(stackedA)); // [N, Σr]
    const parts = splitColumns(
      down,
      layers.map(({ rank }) => rank),
    );
    return new Map(layers.map((layer, index) => [layer.name, { layer, down: parts[index] }]));
  };
  return {
    inputs,
    linear: <G extends LinearGroup>(x: Tensor, group: G) => {
      const laidOut = group.flatMap(({ name }) => groups.get(name) ?? [])[0];
      const parts = laidOut === undefined ? undefined : adapted(x, laidOut);
      const outputs = group.map((layer) => {
        const plain = base(x, layer);
        const part = parts?.get(layer.name);
        if (part?.down === undefined) return plain;
        return linear(part.down, matrix(part.layer.b), { scale: part.layer.scale, addend: plain }); // [N, out]
      });
      return outputs as { readonly [K in keyof G]: Tensor };
    },
  };
}

/** The graph input that holds a matrix of an adapter. */
export function adapterInputName(entry: LayoutEntry): string {
  return `adapter:${entry.name}`;
}
