import type { Graph, Tensor } from "../graph/graph.js";
import type { LinearGroup, LinearLayer, ModelContext } from "../models/architecture.js";
import { type FrozenLayers, throughFrozen } from "../models/parts/layer-bias.js";
import { gatherRows } from "../ops/gather-rows.js";
import { linear } from "../ops/linear.js";
import { splitColumns } from "../ops/split-columns.js";
import { splitRows } from "../ops/split-rows.js";
import type { BesideVocabulary } from "../ops/vocabulary-loss.js";
import type { AdapterLayout, LaidOutGroup, LaidOutLayer, LayoutEntry, PlacedParameter } from "./layout.js";
import { HEAD } from "./tables.js";
import type { LayerRows } from "./variants/variant.js";
import { moduleOf } from "./whole-tensors.js";

/** Tensors of an adapter as inputs of a graph. */
export interface AttachedAdapter {
  readonly linear: ModelContext["linear"];
  /** The rows of ids int64 [N] in a table of embeddings, of which `rowsOf` reads the frozen ones: [N, C]. */
  embed(table: string, ids: Tensor, rowsOf: (ids: Tensor) => Tensor): Tensor;
  /** What an adapter at the head adds to the logits of x [N, C]; undefined where none sits there. */
  besideHead(x: Tensor): BesideVocabulary | undefined;
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

  /** What the variant of each layer of a group sees over their input. */
  const rowsOf = (x: Tensor, { layers, stacks }: LaidOutGroup): readonly (readonly [LaidOutLayer, LayerRows])[] => {
    const dropped = regularise(x);
    const multiplied = new Map(
      stacks.map(({ parameter, entry, rows, parts, multiplies }) => {
        const all = splitColumns(linear(multiplies === "dropped" ? dropped : x, tensorOf(entry)), rows); // of [N, Σr]
        return [parameter, parts.map((part) => all[part])] as const;
      }),
    );
    return layers.map((layer, index) => [
      layer,
      {
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
      },
    ]);
  };
  return {
    inputs,
    frozenInputs,
    linear: <G extends LinearGroup>(x: Tensor, group: G) => {
      const laidOut = group.flatMap(({ name }) => groups.get(name) ?? [])[0];
      const rows = laidOut === undefined ? [] : rowsOf(x, laidOut);
      const forward = new Map(rows.map(([layer, of]) => [layer.name, () => laidOut?.variant.forward(layer, of)] as const));
      const outputs = group.map((layer: LinearLayer) => forward.get(layer.name)?.() ?? throughFrozen(frozen, x, layer)); // [N, out]
      return outputs as { readonly [K in keyof G]: Tensor };
    },
    embed: (table, ids, frozenRows) => {
      const group = groups.get(moduleOf(table));
      const [layer] = group?.layers ?? [];
      if (group === undefined || layer === undefined) return frozenRows(ids);
      const parameter = (name: string) => tensorOf(placeOf(layer, name));
      const multiplied = (name: string) => gatherRows(parameter(name), ids); // [N, R]
      return group.variant.forward(layer, { input: ids, dropped: ids, product: frozenRows, addBias: (y) => y, parameter, multiplied });
    },
    besideHead: (x) => {
      const group = groups.get(HEAD);
      const [rows] = group === undefined ? [] : rowsOf(x, group);
      return rows && group?.variant.lowRank?.(...rows);
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
