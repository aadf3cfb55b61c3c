import type { LinearGroup } from "../architecture.js";

/** Names and shapes of the weights of linear layers: W [out, in] and, where there is one, b [out]. */
export function layerWeights(groups: readonly LinearGroup[]): readonly (readonly [name: string, shape: readonly number[]])[] {
  return groups.flat().flatMap(({ name, inputs, outputs, hasBias }) => {
    const weight = [`${name}.weight`, [outputs, inputs]] as const;
    return hasBias ? [weight, [`${name}.bias`, [outputs]] as const] : [weight];
  });
}
