import type { Tensor } from "../../graph/graph.js";
import { layerNorm } from "../../ops/layer-norm.js";
import { rmsNorm } from "../../ops/rms-norm.js";
import type { LinearGroup, ModelContext } from "../architecture.js";

export type NamedShape = readonly [name: string, shape: readonly number[]];

/** A piece of a model: its layers, its other weights, and what it makes of rows [N, C]. */
export interface Sublayer {
  /** Linear layers in the order of evaluation. */
  readonly linearGroups: readonly LinearGroup[];
  /** Weights that are not those of the linear layers. */
  readonly weights: readonly NamedShape[];
  apply(x: Tensor, context: ModelContext): Tensor;
}

/** One after the other. */
export function inSequence(...pieces: readonly Sublayer[]): Sublayer {
  return {
    linearGroups: pieces.flatMap(({ linearGroups }) => linearGroups),
    weights: pieces.flatMap(({ weights }) => weights),
    apply: (x, context) => pieces.reduce((rows, piece) => piece.apply(rows, context), x),
  };
}

/** RMSNorm with a gain of `size` values (Zhang & Sennrich 2019). */
export function rootMeanSquareNorm(name: string, size: number, epsilon: number): Sublayer {
  const gain = `${name}.weight`;
  return {
    linearGroups: [],
    weights: [[gain, [size]]],
    apply: (x, { weight }) => rmsNorm(x, weight(gain, [size]), epsilon),
  };
}

/** LayerNorm with a gain and a bias of `size` values each (Ba et al. 2016). */
export function layerNormalisation(name: string, size: number, epsilon: number): Sublayer {
  const [gain, bias] = [`${name}.weight`, `${name}.bias`];
  return {
    linearGroups: [],
    weights: [
      [gain, [size]],
      [bias, [size]],
    ],
    apply: (x, { weight }) => layerNorm(x, weight(gain, [size]), weight(bias, [size]), epsilon),
  };
}
