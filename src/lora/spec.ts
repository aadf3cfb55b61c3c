import { InputError } from "../errors.js";
import type { AdaptedLayer, LinearGroup, LinearLayer } from "./layer.js";
import { type LayerSelection, selectLayers } from "./targets.js";
import type { Method } from "./variants/index.js";
import type { Initialisation } from "./variants/variant.js";

export type { Initialisation } from "./variants/variant.js";

/** What a new adapter shall be. */
export interface AdapterSpec {
  /** Plain LoRA by default. */
  readonly method?: Method;
  readonly rank: number;
  readonly alpha: number;
  /** α/√r in place of α/r; false by default. */
  readonly rankStabilised?: boolean;
  /** Probability with which an element of the adapter's input is dropped in training, 0 ≤ p < 1. */
  readonly dropout: number;
  readonly layers: LayerSelection;
  readonly initialisation: Initialisation;
}

/** PEFT, llama.cpp and this library take any rank; beyond this one it is a slip of the finger. */
export const MAX_RANK = 4096;

/** The factor of the adapter's output. α/r: Hu et al. 2021, section 4.1; α/√r: Kalajdzievski 2023, "rsLoRA", theorem 3.2. */
export function adapterScale(alpha: number, rank: number, rankStabilised = false): number {
  return rankStabilised ? alpha / Math.sqrt(rank) : alpha / rank;
}

/** Throws InputError with everything that is wrong in a spec. */
function checkSpec(spec: AdapterSpec): void {
  const problems: string[] = [];
  if (!Number.isInteger(spec.rank) || spec.rank < 1 || spec.rank > MAX_RANK) {
    problems.push(`rank must be a whole number from 1 to ${MAX_RANK}, found ${spec.rank}`);
  }
  if (!Number.isFinite(spec.alpha) || spec.alpha <= 0) problems.push(`alpha must be a number above 0, found ${spec.alpha}`);
  if (!(spec.dropout >= 0 && spec.dropout < 1)) problems.push(`dropout must be at least 0 and below 1, found ${spec.dropout}`);
  if (problems.length > 0) throw new InputError(`The adapter cannot be made: ${problems.join("; ")}.`);
}

/**
 * The layers that a new adapter adapts, in the model's groups; a group without any is left out. Throws InputError where the spec is
 * wrong or a name matches no layer.
 */
export function adaptGroups(groups: readonly LinearGroup[], spec: AdapterSpec): (readonly AdaptedLayer[])[] {
  checkSpec(spec);
  const chosen = new Set(selectLayers(groups.flat(), spec.layers));
  const scale = adapterScale(spec.alpha, spec.rank, spec.rankStabilised);
  const adapt = (layer: LinearLayer): AdaptedLayer => ({ ...layer, rank: spec.rank, scale });
  return groups.map((group) => group.filter((layer) => chosen.has(layer)).map(adapt)).filter((group) => group.length > 0);
}
