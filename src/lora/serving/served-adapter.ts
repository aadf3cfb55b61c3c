import { GAIN, type InferenceAdapter, OFFSET } from "../inference.js";
import type { LinearGroup } from "../layer.js";
import { type LaidOutGroup, type LaidOutLayer, viewOf } from "../layout.js";
import { A, B } from "../variants/lora.js";

/** A layer of an adapter, both matrices with a row for each rank, so that those of several adapters stack by copying. */
export interface ServedLayer {
  readonly a: Float32Array; // [rank, inputs]
  /** Bᵀ with the adapter's scale in it. */
  readonly b: Float32Array; // [rank, outputs]
  readonly gain: Float32Array | undefined; // [outputs]
}

/** The layers of an adapter that read one input; where their ranks differ, the smaller ones are filled up with zeros. */
export interface ServedGroup {
  readonly rank: number;
  /** The A of its layers, one below the other. */
  readonly a: Float32Array; // [layers · rank, inputs]
  /** By name, in the model's order. */
  readonly layers: ReadonlyMap<string, ServedLayer>;
}

/** An adapter in the form in which a batch takes it beside others. */
export interface ServedAdapter {
  /** By the key of the model's group; see `groupKey`. */
  readonly groups: ReadonlyMap<string, ServedGroup>;
  /** Itself, where it is more than matrices and gains beside the layers of the blocks, such as weights that it has trained whole: it needs a program of its own. */
  readonly alone?: InferenceAdapter | undefined;
}

/** What tells a model's groups of layers apart. */
export const groupKey = (group: LinearGroup): string => group[0]?.name ?? "";

/** Writes an adapter in the form in which a batch takes it beside others. @param groups those of its model */
export function servedAdapter(form: InferenceAdapter, groups: readonly LinearGroup[]): ServedAdapter {
  const { layout, vector } = form;
  const keys = new Map(groups.flatMap((group) => group.map(({ name }) => [name, groupKey(group)] as const)));
  const layers = layout.groups.flatMap((group) => group.layers);
  const atVocabulary = layers.some(({ name }) => !keys.has(name));
  const offsets = layers.some(({ parameters }) => parameters.has(OFFSET));
  const alone = layout.modules.length > 0 || offsets || atVocabulary ? form : undefined;
  const served = layout.groups.flatMap((group) => {
    const key = keys.get(groupKey(group.layers));
    return key === undefined ? [] : [[key, servedGroup(group, vector)] as const];
  });
  return { alone, groups: new Map(served) };
}

function servedGroup({ layers }: LaidOutGroup, vector: Float32Array): ServedGroup {
  const rank = Math.max(...layers.map((layer) => layer.rank));
  const inputs = layers[0]?.inputs ?? 0;
  const all = new Float32Array(layers.length * rank * inputs);
  const served = layers.map((layer, index) => {
    const a = all.subarray(index * rank * inputs, (index + 1) * rank * inputs);
    a.set(valuesOf(layer, A, vector) ?? []);
    return [layer.name, { a, b: scaledTranspose(layer, rank, vector), gain: valuesOf(layer, GAIN, vector)?.slice() }] as const;
  });
  return { rank, a: all, layers: new Map(served) };
}

function valuesOf({ parameters }: LaidOutLayer, name: string, vector: Float32Array): Float32Array | undefined {
  const place = parameters.get(name);
  return place === undefined ? undefined : viewOf(vector, place);
}

/** s·Bᵀ of a layer, [rows, outputs], of which the last may be zero. */
function scaledTranspose(layer: LaidOutLayer, rows: number, vector: Float32Array): Float32Array {
  const { rank, outputs, scale } = layer;
  const b = valuesOf(layer, B, vector) ?? new Float32Array(outputs * rank); // [outputs, rank]
  const transposed = new Float32Array(rows * outputs);
  for (let output = 0; output < outputs; output++) {
    for (let at = 0; at < rank; at++) transposed[at * outputs + output] = scale * (b[output * rank + at] ?? 0);
  }
  return transposed;
}
