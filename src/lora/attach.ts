import type { Graph, Tensor } from "../graph/graph.js";
import type { LinearGroup, LinearLayer, ModelContext } from "../models/architecture.js";
import { type FrozenLayers, throughFrozen } from "../models/parts/layer-bias.js";
import { linear } from "../ops/linear.js";
import { splitColumns } from "../ops/split-columns.js";
import { splitRows } from "../ops/split-rows.js";
import type { AdapterLayout, LaidOutGroup, LaidOutLayer, LayoutEntry, PlacedParameter } from "./layout.js";

/** Tensors of an adapter as inputs of a graph. */
export interface AttachedAdapter {
  readonly linear: ModelContext["linear"];
  /** Input name → its place in the vector of trainables, in the order of the vector. */
  readonly inputs: ReadonlyMap<string, LayoutEntry>;
  /** The same of the vector of what training leaves as it started. */
  readonly frozenInputs: ReadonlyMap<string, LayoutEntry>;
}

/**
 * Puts an adapter beside the frozen layers of a model, as its variant says. Matrices that multiply one input are one product; a layer
 * without an adapter is the base's alone.
 *
 * @param regularise what the adapter's own input goes through in training, such as dropout. Layers that share an input
 *   share it, where PEFT draws a mask for each: the expectation is the same, the masks of q, k and v are then equal.
 */
export function attachAdapter(
  graph: Graph,
  layout: AdapterLayout,
  frozen: FrozenLayers,
  regularise: (x: Tensor) => Tensor = (x) => x,
): AttachedAdapter {
  const inputs = new Map<string, LayoutEntry>();
  const frozenInputs = new Map<string, LayoutEntry>();
  const groups = new Map(layout.groups.flatMap((group) => group.layers.map((layer) => [layer.name, group] as const)));
  const tensorOf = (entry: PlacedParameter): Tensor => {
    const name = adapterInputName(entry);
    (entry.isTrained ? inputs : frozenInputs).set(name, entry);
    return graph.input(name, { dtype: "float32", shape: entry.shape });
  };
  for (const group of layout.groups) for (const entry of fedEntries(group)) tensorOf(entry);

  /** The layers of a group over their input, by name: the outputs. */
  const adapted = (x: Tensor, { layers, stacks }: LaidOutGroup) => {
    const dropped = regularise(x);
    const multiplied = new Map(
      stacks.map(({ parameter, entry, rows, parts, multiplies }) => {
        const all = splitColumns(linear(multiplies === "dropped" ? dropped : x, tensorOf(entry)), rows); // of [N, Σr]
        return [parameter, parts.map((part) => all[part])] as const;
      }),
    );
    return new Map(
      layers.map((layer, index) => [
        layer.name,
        () =>
          layout.variant.forward(layer, {
            input: x,
            dropped,
            product: (rows) => frozen.product(rows, layer),
            addBias: (y) => frozen.addBias(y, layer),
            parameter: (name) => {
              const stack = stacks.find((each) => each.parameter === name);
              if (stack === undefined) return tensorOf(placeOf(layer, name));
              return known(splitRows(tensorOf(stack.entry), stack.rows)[stack.parts[index] ?? 0], name);
            },
            multiplied: (name) => known(multiplied.get(name)?.[index], name),
          }),
      ]),
    );
  };
  return {
    inputs,
    frozenInputs,
    linear: <G extends LinearGroup>(x: Tensor, group: G) => {
      const laidOut = group.flatMap(({ name }) => groups.get(name) ?? [])[0];
      const forward = laidOut === undefined ? undefined : adapted(x, laidOut);
      const outputs = group.map((layer: LinearLayer) => forward?.get(layer.name)?.() ?? throughFrozen(frozen, x, layer)); // [N, out]
      return outputs as { readonly [K in keyof G]: Tensor };
    },
  };
}

/** What a graph is fed of a group, in the order of the layout: stacks in one piece. */
function fedEntries({ layers, stacks }: LaidOutGroup): readonly PlacedParameter[] {
  const stacked = new Set(stacks.map(({ parameter }) => parameter));
  const others = layers.flatMap(({ parameters }) => [...parameters].flatMap(([name, entry]) => (stacked.has(name) ? [] : [entry])));
  return [...stacks.map(({ entry }) => entry), ...others];
}

const placeOf = ({ parameters }: LaidOutLayer, name: string): PlacedParameter => known(parameters.get(name), name);

function known<T>(found: T | undefined, name: string): T {
  if (found === undefined) throw new Error(`the variant of this adapter lists no ${name}`);
  return found;
}

/** The graph input that holds a tensor of an adapter. */
export function adapterInputName(entry: LayoutEntry): string {
  return `adapter:${entry.name}`;
}
