import type { AdaptedLayer } from "./layer.js";

/** A tensor in the flat vector of trainables: row-major, as many values from `offset` as its shape has. */
export interface LayoutEntry {
  /** As in a PEFT file, without its prefix: `model.layers.0.self_attn.q_proj.lora_A.weight`, `score.weight`. */
  readonly name: string;
  /** Values, not bytes, from the start of the vector. */
  readonly offset: number;
  readonly shape: readonly number[];
}

/** A matrix of an adapter there. */
export interface MatrixEntry extends LayoutEntry {
  readonly shape: readonly [rows: number, columns: number];
}

/** One adapted layer with the places of its matrices. */
export interface LaidOutLayer extends AdaptedLayer {
  readonly a: MatrixEntry; // [rank, inputs]
  readonly b: MatrixEntry; // [outputs, rank]
}

/** Layers that read one input; their A matrices are neighbours, so that `stackedA` is one product's operand. */
export interface LaidOutGroup {
  readonly layers: readonly LaidOutLayer[];
  /** [sum of the ranks, inputs], the A matrices in the order of `layers`. */
  readonly stackedA: MatrixEntry;
}

/** Where every trainable tensor, those of the adapter and those trained whole beside it, lies in one flat vector. */
export interface AdapterLayout {
  readonly groups: readonly LaidOutGroup[];
  /** Tensors that are trained whole, such as a classification head's. */
  readonly modules: readonly LayoutEntry[];
  /** Every A and B, then the modules, by name, in the order of the vector. */
  readonly entries: ReadonlyMap<string, LayoutEntry>;
  /** Values in the vector: the trainable parameters. */
  readonly length: number;
}

/**
 * Lays out an adapter: group after group, first the group's A matrices, then its B matrices; behind them the modules that are trained
 * whole. Layers of a group must have equal `inputs`.
 */
export function buildLayout(
  groups: readonly (readonly AdaptedLayer[])[],
  modules: readonly Pick<LayoutEntry, "name" | "shape">[] = [],
): AdapterLayout {
  const entries = new Map<string, LayoutEntry>();
  let length = 0;
  const place = <Shape extends readonly number[]>(name: string, shape: Shape) => {
    if (entries.has(name)) throw new RangeError(`${name} is laid out twice`);
    const entry = { name, offset: length, shape };
    entries.set(name, entry);
    length += sizeOf(entry);
    return entry;
  };
  const laidOut = groups.map((group) => layOutGroup(group, (name, rows, columns) => place(name, [rows, columns] as const)));
  const placed = modules.map(({ name, shape }) => place(name, shape));
  return { groups: laidOut, modules: placed, entries, length };
}

function layOutGroup(group: readonly AdaptedLayer[], place: (name: string, rows: number, columns: number) => MatrixEntry): LaidOutGroup {
  const first = group[0];
  if (first === undefined) throw new RangeError("a group has no layer");
  const other = group.find((layer) => layer.inputs !== first.inputs);
  if (other !== undefined)
    throw new RangeError(`${first.name} and ${other.name} share an input, but read ${first.inputs} and ${other.inputs} values`);

  const withA = group.map((layer) => ({ layer, a: place(matrixName(layer.name, "A"), layer.rank, layer.inputs) }));
  const layers = withA.map(({ layer, a }) => ({ ...layer, a, b: place(matrixName(layer.name, "B"), layer.outputs, layer.rank) }));
  const rows = group.reduce((sum, layer) => sum + layer.rank, 0);
  const stackedName = group.map((layer) => layer.name).join("+");
  return { layers, stackedA: { name: matrixName(stackedName, "A"), offset: layers[0]?.a.offset ?? 0, shape: [rows, first.inputs] } };
}

/** The name of a layer's A or B, as PEFT writes it behind its prefix. */
export function matrixName(layer: string, matrix: "A" | "B"): string {
  return `${layer}.lora_${matrix}.weight`;
}

/** The tensor's values as a view: writing to it writes to the vector. */
export function viewOf(vector: Float32Array, entry: LayoutEntry): Float32Array {
  return vector.subarray(entry.offset, entry.offset + sizeOf(entry));
}

function sizeOf({ shape }: Pick<LayoutEntry, "shape">): number {
  return shape.reduce((product, extent) => product * extent, 1);
}
