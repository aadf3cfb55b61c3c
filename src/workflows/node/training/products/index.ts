import type { AdapterSpec } from "../../../../lora/spec.js";
import type { RankBudget, VariantSettings } from "../../../../lora/variants/variant.js";
import { FULL, type TrainSettings } from "../../../options.js";
import type { RunProduct } from "../run-task.js";
import { adapterProduct } from "./adapter-product.js";
import { modelProduct } from "./model-product.js";

export type { RunProduct } from "../run-task.js";

type ProductSettings = Pick<
  TrainSettings,
  | Exclude<keyof AdapterSpec, "rankStabilised" | "modules" | "tokens" | "tiesWeights" | "settings">
  | keyof Omit<VariantSettings, "budget" | "masks">
  | "rslora"
  | "modulesToSave"
  | "tieWeights"
> &
  BudgetOptions;

/** What AdaLoRA prunes, when, of a run of so many updates. */
function budgetOf(
  { rank, targetRank, pruneFrom, pruneUntil, pruneEvery, orthogonality }: BudgetOptions,
  updates: number | undefined,
): RankBudget | undefined {
  if (updates === undefined) return undefined;
  const initial = Math.round(pruneFrom * updates);
  const final = updates - Math.max(initial + 1, Math.round(pruneUntil * updates));
  const steps = { initial, final: Math.max(0, final), every: pruneEvery, total: updates };
  return { targetRank: targetRank ?? Math.ceil((2 * rank) / 3), orthogonality, steps };
}

type BudgetOptions = Pick<TrainSettings, "rank" | "targetRank" | "pruneFrom" | "pruneUntil" | "pruneEvery" | "orthogonality">;

/**
 * What the options of a run ask for.
 *
 * @param known updates of the run, where they are known, and the ids of the tokens whose embeddings are trained
 */
export function productOf(
  { method, ...settings }: ProductSettings,
  { updates, tokens }: { readonly updates?: number | undefined; readonly tokens?: readonly number[] | undefined } = {},
): RunProduct {
  if (method === FULL) return modelProduct;
  const { rho, loftqRounds, seed, rslora: rankStabilised, modulesToSave: modules, tieWeights: tiesWeights, ...same } = settings;
  const { rank, alpha, rankPattern, alphaPattern, dropout, layers, exclude, blocks, initialisation, bias } = same;
  const strength = { rank, alpha, rankPattern, alphaPattern, rankStabilised };
  const whole = { bias, modules, tokens, tiesWeights };
  return adapterProduct({
    method,
    ...strength,
    dropout,
    layers,
    exclude,
    blocks,
    initialisation,
    ...whole,
    settings: { rho, loftqRounds, seed, budget: budgetOf(settings, updates) },
  });
}
