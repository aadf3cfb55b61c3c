/** What a type of combination does. */
interface Recipe {
  /**
   * What is combined: As with As and Bs with Bs; the whole ΔWs, which are reduced to a rank afterwards; their exact sum, reduced; or
   * nothing but the matrices put side by side.
   */
  readonly on: "factors" | "changes" | "sum" | "concatenation";
  /** What is left out before: small values (TIES), or random ones, so that the rest is enlarged (DARE). */
  readonly prune: "none" | "magnitude" | "random";
  /** Whether values whose sign the others outvote are left out, and the rest is averaged (TIES). */
  readonly elects: boolean;
}

/** The types of PEFT 0.21's `add_weighted_adapter`, by its names. */
export const recipes = {
  cat: { on: "concatenation", prune: "none", elects: false },
  svd: { on: "sum", prune: "none", elects: false },
  linear: { on: "factors", prune: "none", elects: false },
  ties: { on: "factors", prune: "magnitude", elects: true },
  ties_svd: { on: "changes", prune: "magnitude", elects: true },
  dare_linear: { on: "factors", prune: "random", elects: false },
  dare_linear_svd: { on: "changes", prune: "random", elects: false },
  dare_ties: { on: "factors", prune: "random", elects: true },
  dare_ties_svd: { on: "changes", prune: "random", elects: true },
  magnitude_prune: { on: "factors", prune: "magnitude", elects: false },
  magnitude_prune_svd: { on: "changes", prune: "magnitude", elects: false },
} as const satisfies Readonly<Record<string, Recipe>>;

export type CombinationType = keyof typeof recipes;

export const combinationTypes = Object.keys(recipes) as [CombinationType, ...CombinationType[]];

/** Whether a type reduces its result to a rank. */
export const reduces = (type: CombinationType): boolean => recipes[type].on === "changes" || recipes[type].on === "sum";

/** Whether a type leaves values out, and so has a density. */
export const prunes = (type: CombinationType): boolean => recipes[type].prune !== "none";
