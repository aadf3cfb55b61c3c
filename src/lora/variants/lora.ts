import { linear } from "../../ops/linear.js";
import { mul } from "../../ops/mul.js";
import type { BesideVocabulary } from "../../ops/vocabulary-loss.js";
import type { AdaptedLayer, AdapterLayer } from "../layer.js";
import type { LayerRows, ParameterValues, Start, Variant, VariantParameter } from "./variant.js";

/** The names of a layer's A and B, as PEFT writes them. */
export const A = "lora_A.weight";
export const B = "lora_B.weight";

export const parameterA = ({ rank, inputs }: AdaptedLayer): VariantParameter => ({
  name: A,
  shape: [rank, inputs],
  isTrained: true,
  multiplies: "dropped",
  side: "input",
});

export const parameterB = ({ rank, outputs }: AdaptedLayer): VariantParameter => ({
  name: B,
  shape: [outputs, rank],
  isTrained: true,
  side: "output",
});

/**
 * Values of an A that is random and a B that is zero, so that training starts at exactly the pretrained model (Hu et al. 2021, section
 * 4.1). The paper draws A from a Gaussian without giving its width; PEFT's `gaussian`, followed here, takes the standard deviation 1/r.
 * `peft` is PEFT's default (kaiming_uniform with a = √5): uniform in ±1/√inputs.
 */
export function randomA({ rank, inputs, outputs }: AdaptedLayer, { initialisation, random }: Start): ParameterValues {
  const a = new Float32Array(rank * inputs);
  const stream = random(A);
  if (initialisation === "gaussian") stream.fillNormal(a, 1 / rank);
  else {
    const bound = 1 / Math.sqrt(inputs);
    for (let index = 0; index < a.length; index++) a[index] = (2 * stream.uniform() - 1) * bound;
  }
  return new Map([
    [A, a],
    [B, new Float32Array(outputs * rank)],
  ]);
}

/** The values of a parameter that a variant lists. */
export function valuesOf(values: ParameterValues, name: string): Float32Array {
  const found = values.get(name);
  if (found === undefined) throw new Error(`a variant has no values for its ${name}`);
  return found;
}

/** A and B under PEFT's names. */
export const storedPair = (layer: AdaptedLayer, values: ParameterValues): AdapterLayer => ({
  ...layer,
  a: valuesOf(values, A),
  b: valuesOf(values, B),
});

/** s·x·Aᵀ [N, R] and B [out, R], whose product is what an adapter adds. */
export function lowRank({ scale }: AdaptedLayer, rows: LayerRows): BesideVocabulary {
  const factors = rows.multiplied(A);
  return { factors: mul(factors, factors.graph.scalar(scale)), table: rows.parameter(B) };
}

/** A layer and its pair of matrices: y = x·Wᵀ + s·x·Aᵀ·Bᵀ (Hu et al. 2021, arXiv 2106.09685, eq. 3), s = α/r, or α/√r in rsLoRA. */
export const pair: Variant = {
  parameters: (layer) => [parameterA(layer), parameterB(layer)],
  initialise: randomA,
  forward: ({ scale }, rows) => linear(rows.multiplied(A), rows.parameter(B), { scale, addend: rows.addBias(rows.product(rows.input)) }), // [N, out]
  stored: storedPair,
  vectors: [],
  storedRanks: 1,
  inference: ({ rank, scale, a, b }) => ({ rank, scale, a, b }),
  peftFields: {},
};

/** LoRA, at the layers of the blocks and at the matrices of the vocabulary. */
export const lora: Variant = { ...pair, lowRank };
