import { InputError } from "../../errors.js";
import { directionsOf } from "../directions.js";
import { mergeInto } from "../kernels/merge.js";
import { electedMean, keepLargest, keepMasked, type SignChoice, sumOfSquares, weightedSum } from "../kernels/task-tensors.js";
import type { AdapterLayer } from "../layer.js";
import { leadingDirections } from "../leading-directions.js";
import { type RankChoice, type Truncated, truncate } from "../truncation.js";
import { type CombinationType, recipes } from "./types.js";

/** A plain layer of one of several adapters, and what it is multiplied by. */
export interface WeightedLayer {
  /** Which of the adapters it belongs to, from 0. */
  readonly adapter: number;
  readonly weight: number;
  readonly layer: AdapterLayer;
}

/** Which values DARE keeps: ones and zeros, as many as the tensor has values. */
export type Mask = (of: {
  readonly adapter: number;
  readonly layer: string;
  readonly tensor: "A" | "B" | "change";
  readonly length: number;
}) => ArrayLike<number>;

export interface CombinationSettings {
  readonly type: CombinationType;
  /** Of the types that reduce by SVD. */
  readonly choice: RankChoice;
  /** Share of the values that pruning keeps. */
  readonly density: number;
  readonly signs: SignChoice;
  readonly mask: Mask;
}

/** A combined layer. */
export interface CombinedLayer {
  readonly layer: AdapterLayer;
  /** What reducing it to a rank lost, relative; undefined where nothing is reduced. */
  readonly reductionError: number | undefined;
  /** ‖ΔW‖ of the exact weighted sum, and how far the result lies from it; Frobenius norms. */
  readonly exactNorm: number;
  readonly distance: number;
}

/**
 * One layer of several adapters as one, as PEFT 0.21's `add_weighted_adapter` does, with scale 1. The layers must have equal sides, and
 * equal ranks for the types that combine A with A and B with B.
 */
export function combineLayer(terms: readonly WeightedLayer[], settings: CombinationSettings): CombinedLayer {
  const exact = concatenated(terms);
  checkFinite(exact, terms);
  const { on } = recipes[settings.type];
  const reduced: Truncated | undefined =
    on === "sum" ? truncate(exact, directionsOf(exact), settings.choice) : on === "changes" ? reducedChanges(terms, settings) : undefined;
  const layer = reduced?.layer ?? (on === "concatenation" ? exact : combinedFactors(terms, settings));
  const exactNorm = normOf(exact);
  // What is left out of the sum itself is known; elsewhere the difference is a change of low rank as well.
  const distance = on === "concatenation" ? 0 : on === "sum" ? (reduced?.relativeError ?? 0) * exactNorm : normOf(difference(exact, layer));
  return { layer, reductionError: reduced?.relativeError, exactNorm, distance };
}

/** The files' values are finite: where a sum's are not, a factor has made them so. */
function checkFinite({ name, a }: AdapterLayer, terms: readonly WeightedLayer[]): void {
  if (a.every(Number.isFinite)) return;
  const factors = terms.map(({ weight }) => weight).join(", ");
  throw new InputError(`${name}: times the factors of the expression (${factors}) the values grow beyond float32. Give smaller ones.`);
}

/** Σ wᵢ·ΔWᵢ, exactly: [w₁s₁A₁; w₂s₂A₂; …] and [B₁, B₂, …]. */
export function concatenated(terms: readonly Pick<WeightedLayer, "weight" | "layer">[]): AdapterLayer {
  const [first] = terms;
  if (first === undefined) throw new RangeError("nothing is added up");
  const rank = terms.reduce((sum, { layer }) => sum + layer.rank, 0);
  const { inputs, outputs } = first.layer;
  const a = new Float32Array(rank * inputs);
  const b = new Float32Array(outputs * rank);
  let from = 0;
  for (const { weight, layer } of terms) {
    const factor = weight * layer.scale;
    a.set(
      layer.a.map((value) => value * factor),
      from * inputs,
    );
    for (let row = 0; row < outputs; row++) b.set(layer.b.subarray(row * layer.rank, (row + 1) * layer.rank), row * rank + from);
    from += layer.rank;
  }
  return { ...first.layer, rank, scale: 1, a, b };
}

/** A of the As and B of the Bs. Each gets the root of the weight; its sign goes to PEFT's A, which is B of a table. */
function combinedFactors(terms: readonly WeightedLayer[], settings: CombinationSettings): AdapterLayer {
  const [first] = terms;
  if (first === undefined) throw new RangeError("nothing is added up");
  const roots = terms.map(({ weight, layer }) => Math.sqrt(Math.abs(weight * layer.scale)));
  const signed = roots.map((root, index) => (isNegative(terms[index]) ? -root : root));
  const [ofA, ofB] = first.layer.isTable ? [roots, signed] : [signed, roots];
  return {
    ...first.layer,
    scale: 1,
    a: Float32Array.from(combinedTensors(terms, "A", ({ a }) => a, ofA, settings)),
    b: Float32Array.from(combinedTensors(terms, "B", ({ b }) => b, ofB, settings)),
  };
}

const isNegative = (term: WeightedLayer | undefined): boolean => term !== undefined && term.weight * term.layer.scale < 0;

/** The combination of the whole ΔWs, reduced. */
function reducedChanges(terms: readonly WeightedLayer[], settings: CombinationSettings): Truncated | undefined {
  const [first] = terms;
  if (first === undefined) throw new RangeError("nothing is added up");
  const { inputs, outputs } = first.layer;
  const weights = terms.map(({ weight }) => weight);
  const values = combinedTensors(terms, "change", denseChange, weights, settings); // [outputs, inputs]
  const { directions, total } = leadingDirections({ rows: outputs, columns: inputs, values }, settings.choice);
  return truncate(first.layer, directions, settings.choice, total);
}

function denseChange(layer: AdapterLayer): Float32Array {
  const change = new Float32Array(layer.outputs * layer.inputs);
  mergeInto(change, change, layer);
  return change;
}

function combinedTensors(
  terms: readonly WeightedLayer[],
  tensor: "A" | "B" | "change",
  of: (layer: AdapterLayer) => Float32Array,
  weights: readonly number[],
  { type, density, signs, mask }: CombinationSettings,
): Float64Array {
  const { prune, elects } = recipes[type];
  const pruned = terms.map(({ adapter, layer }) => {
    const values = of(layer);
    if (prune === "none" || density >= 1) return values;
    if (prune === "magnitude") return keepLargest(values, density);
    return keepMasked(values, mask({ adapter, layer: layer.name, tensor, length: values.length }), density);
  });
  return elects ? electedMean(pruned, weights, signs) : weightedSum(pruned, weights);
}

const normOf = (change: AdapterLayer): number => Math.sqrt(sumOfSquares(directionsOf(change).values));

const difference = (one: AdapterLayer, other: AdapterLayer): AdapterLayer =>
  concatenated([
    { weight: 1, layer: one },
    { weight: -1, layer: other },
  ]);
