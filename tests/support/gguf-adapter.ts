import { createRandom } from "../../src/data/random.js";
import type { Adapter, AdapterLayer } from "../../src/lora/adapter.js";
import { adapterScale } from "../../src/lora/spec.js";
import type { LanguageModelGraph } from "../../src/models/architecture.js";

/** What the layers of an adapter have in common, or what one kind has of its own. */
export interface Strengths {
  readonly rankStabilised?: boolean;
  readonly rankPattern?: Readonly<Record<string, number>>;
  readonly alphaPattern?: Readonly<Record<string, number>>;
}

/** An adapter at every layer of a model, its A and B random and strong enough to be seen in the logits. */
export function randomAdapter(
  { linearGroups }: LanguageModelGraph,
  { rankStabilised = false, rankPattern = {}, alphaPattern = {} }: Strengths = {},
): Adapter {
  const [rank, alpha] = [4, 8];
  const find = (pattern: Readonly<Record<string, number>>, name: string) =>
    Object.entries(pattern).find(([end]) => name.endsWith(end))?.[1];
  const layers = linearGroups.flat().map(({ name, inputs, outputs }): AdapterLayer => {
    const own = find(rankPattern, name) ?? rank;
    const fill = (length: number, which: string) => {
      const values = new Float32Array(length);
      createRandom(7, `${name}.${which}`).fillNormal(values, 0.2);
      return values;
    };
    const scale = adapterScale(find(alphaPattern, name) ?? alpha, own, rankStabilised);
    return { name, inputs, outputs, rank: own, scale, a: fill(own * inputs, "a"), b: fill(outputs * own, "b") };
  });
  return {
    config: {
      method: "lora",
      baseModel: "tiny",
      rank,
      alpha,
      dropout: 0,
      rankStabilised,
      rankPattern,
      alphaPattern,
      targetModules: layers.map(({ name }) => name),
      excludeModules: undefined,
      blocks: undefined,
      initialisation: "gaussian",
      isConv1D: linearGroups.flat().some(({ isConv1D }) => isConv1D),
      taskType: "CAUSAL_LM",
      trainedModules: [],
      bias: "none",
      tiesWeights: false,
    },
    layers,
  };
}

/** Adapters whose layers differ in rank and alpha, by the model that tests give them to. */
export const strengths: Readonly<Record<string, Strengths>> = {
  llama: { rankStabilised: true, rankPattern: { q_proj: 2 }, alphaPattern: { down_proj: 3 } },
};
