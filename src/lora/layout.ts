import type { AdaptedLayer } from "./layer.js";
import { embeddingPair } from "./variants/embedding.js";
import { lora } from "./variants/lora.js";
import type { Variant, VariantParameter } from "./variants/variant.js";

/** A tensor in a flat vector: row-major, as many values from `offset` as its shape has. */
export interface LayoutEntry {
  /** As in a PEFT file, without its prefix: `model.layers.0.self_attn.q_proj.lora_A.weight`, `score.weight`. */
  readonly name: string;
  /** Values, not bytes, from the start of the vector. */
  readonly offset: number;
  readonly shape: readonly number[];
}

/** A tensor that is trained whole. */
export interface WholeTensor extends Pick<LayoutEntry, "name" | "shape"> {
  /** Names of the weights of the model that it is read as; by default its own. A table that is tied to the head is read as both. */
  readonly places?: readonly string[] | undefined;
  /** A weight [out, in] of transformers' Conv1D, which files have as [in, out]. */
  readonly isConv1D?: boolean | undefined;
  /** Where it is no whole weight but rows of one: their numbers. */
  readonly rows?: readonly number[] | undefined;
}

/** A parameter of a variant there: in the vector of trainables, or in the one of what training leaves as it started. */
export interface PlacedParameter extends LayoutEntry {
  readonly isTrained: boolean;
  readonly side: VariantParameter["side"];
}

/** One adapted layer with the places of its parameters, by the variant's names. */
export interface LaidOutLayer extends AdaptedLayer {
  readonly parameters: ReadonlyMap<string, PlacedParameter>;
}

/** The matrices of one name of layers that read one input, neighbours in their vector, so that they are one product's operand. */
export interface Stack {
  /** The variant's name of each of them. */
  readonly parameter: string;
  /** [sum of the rows, inputs], in the order of the layers. */
  readonly entry: PlacedParameter;
  /** Rows of its parts. */
  readonly rows: readonly number[];
  /** Which part each layer of the group has. */
  readonly parts: readonly number[];
  readonly multiplies: NonNullable<VariantParameter["multiplies"]>;
}

/** Layers that read one input. */
export interface LaidOutGroup {
  /** That of the adapter, but at a table of embeddings. */
  readonly variant: Variant;
  readonly layers: readonly LaidOutLayer[];
  readonly stacks: readonly Stack[];
}

/** Where every trainable tensor, those of the adapter and those trained whole beside it, lies in one flat vector. */
export interface AdapterLayout {
  readonly variant: Variant;
  readonly groups: readonly LaidOutGroup[];
  /** Tensors that are trained whole: weights of the model, and those of a classification head. */
  readonly modules: readonly (LayoutEntry & WholeTensor)[];
  /** Every trained parameter of the adapter, then the modules, by name, in the order of the vector. */
  readonly entries: ReadonlyMap<string, LayoutEntry>;
  /** Values in the vector: the trainable parameters. */
  readonly length: number;
  /** Values in the vector of what an adapter starts with and keeps. */
  readonly frozenLength: number;
}

/**
 * Lays out an adapter: group after group, first the matrices that multiply the group's input, those of one name as neighbours, then each
 * layer's others; behind them the modules that are trained whole. Layers of a group must have equal `inputs`.
 */
export function buildLayout(
  groups: readonly (readonly AdaptedLayer[])[],
  modules: readonly WholeTensor[] = [],
  variant: Variant = lora,
): AdapterLayout {
  const [trained, frozen] = [new Places(), new Places()];
  const laidOut = groups.map((group) => layOutGroup(group, variant, (isTrained) => (isTrained ? trained : frozen)));
  const placed = modules.map(({ name, shape, ...rest }) => ({ ...rest, ...trained.place(name, shape) }));
  return {
    variant,
    groups: laidOut,
    modules: placed,
    entries: trained.entries,
    length: trained.length,
    frozenLength: frozen.length,
  };
}

/** A vector that fills up. */
class Places {
  readonly entries = new Map<string, LayoutEntry>();
  length = 0;

  place(name: string, shape: readonly number[]): LayoutEntry {
    if (this.entries.has(name)) throw new RangeError(`${name} is laid out twice`);
    const entry = { name, offset: this.length, shape };
    this.entries.set(name, entry);
    this.length += sizeOf(entry);
    return entry;
  }

  /** A tensor of this name and shape, which may be there already. */
  share(name: string, shape: readonly number[]): LayoutEntry {
    const shared = `shared.${shape.join("x")}.${name}`;
    return this.entries.get(shared) ?? this.place(shared, shape);
  }
}

function layOutGroup(group: readonly AdaptedLayer[], asked: Variant, places: (isTrained: boolean) => Places): LaidOutGroup {
  const first = group[0];
  if (first === undefined) throw new RangeError("a group has no layer");
  const variant = first.isTable ? embeddingPair : asked;
  const other = group.find((layer) => layer.inputs !== first.inputs);
  if (other !== undefined)
    throw new RangeError(`${first.name} and ${other.name} share an input, but read ${first.inputs} and ${other.inputs} values`);

  const wanted = group.map((layer) => ({ layer, parameters: variant.parameters(layer), placed: new Map<string, PlacedParameter>() }));
  const put = ({ layer, placed }: (typeof wanted)[number], { name, shape, isTrained, isShared, side }: VariantParameter) => {
    const vector = places(isTrained);
    const entry = { ...(isShared ? vector.share(name, shape) : vector.place(`${layer.name}.${name}`, shape)), isTrained, side };
    placed.set(name, entry);
    return entry;
  };
  const stacked = new Set(wanted.flatMap(({ parameters }) => parameters.flatMap((each) => (each.multiplies ? [each.name] : []))));
  const stacks = [...stacked].map((name): Stack => {
    const members = wanted.flatMap((one) =>
      one.parameters.filter((each) => each.name === name).map((each) => ({ each, at: put(one, each) })),
    );
    const [head] = members;
    if (head?.each.multiplies === undefined || members.length !== group.length)
      throw new Error(`${name} is not every layer's of the group`);
    const { isShared, multiplies } = head.each;
    if (isShared) return { parameter: name, entry: head.at, rows: [head.at.shape[0] ?? 0], parts: group.map(() => 0), multiplies };
    const rows = members.map(({ at }) => at.shape[0] ?? 0);
    const shape = [rows.reduce((sum, count) => sum + count, 0), first.inputs];
    const joined = parameterName(group.map((layer) => layer.name).join("+"), name);
    return { parameter: name, entry: { ...head.at, name: joined, shape }, rows, parts: [...group.keys()], multiplies };
  });
  for (const one of wanted) for (const each of one.parameters) if (!each.multiplies) put(one, each);
  return { variant, layers: wanted.map(({ layer, placed }) => ({ ...layer, parameters: placed })), stacks };
}

/** The name of a layer's parameter, as PEFT writes it behind its prefix. */
export function parameterName(layer: string, parameter: string): string {
  return `${layer}.${parameter}`;
}

/** The tensor's values as a view: writing to it writes to the vector. */
export function viewOf(vector: Float32Array, entry: LayoutEntry): Float32Array {
  return vector.subarray(entry.offset, entry.offset + sizeOf(entry));
}

/** Values of a tensor. */
export function sizeOf({ shape }: Pick<LayoutEntry, "shape">): number {
  return shape.reduce((product, extent) => product * extent, 1);
}
