import type { TrainOptions } from "lorikeet";

/** One way to fine-tune, which the experiment compares with the others. */
export interface Choice {
  /** Its name in results and tables. */
  readonly id: string;
  /** The question that it belongs to: which rank, which layers, or against what. */
  readonly question: "rank" | "layers" | "full";
  readonly label: string;
  readonly rank?: number;
  readonly options: Partial<Pick<TrainOptions, "method" | "rank" | "alpha" | "initialisation" | "layers" | "rankPattern" | "lr">>;
}

/**
 * What all adapters share. Alpha is held fixed while the rank changes, as in the paper (section 4.1); with A's start independent of the
 * rank, as in its code, a step moves all ranks alike.
 */
const adapter = { alpha: 32, initialisation: "peft" } as const;

const rankOf = (rank: number): Choice => ({
  id: `qv-r${rank}`,
  question: "rank",
  label: `q, v: r ${rank}`,
  rank,
  options: { ...adapter, rank, layers: "q_proj,v_proj" },
});

/** @param ranks by layer */
const layersOf = (id: string, ranks: Readonly<Record<string, number>>): Choice => ({
  id,
  question: "layers",
  label: Object.entries(ranks)
    .map(([name, rank]) => `${name[0]} ${rank}`)
    .join(", "),
  options: { ...adapter, layers: Object.keys(ranks), rankPattern: ranks },
});

/**
 * In the order in which a seed runs them, so that a part of them already answers something.
 *
 * Table 18 asks for the rank, at W_q and W_v. Table 5 asks for the layers at one number of parameters: in GPT-3 all four are square, here
 * k and v are narrower (192 of 576 outputs), so that a rank of 2 at q or o has the parameters of a rank of 3 at k or v. Each choice has
 * 9,216 parameters in a block; all linear layers at rank 1 have 10,176, the nearest that there is. Table 3 asks against what.
 */
export const choices: readonly Choice[] = [
  rankOf(4),
  rankOf(1),
  rankOf(64),
  layersOf("q", { q_proj: 8 }),
  layersOf("qkvo", { q_proj: 2, k_proj: 3, v_proj: 3, o_proj: 2 }),
  layersOf("v", { v_proj: 12 }),
  { id: "all-linear", question: "layers", label: "all linear layers: 1", options: { ...adapter, rank: 1, layers: "all-linear" } },
  { id: "full", question: "full", label: "every weight", options: { method: "full", lr: 1e-4 } },
  rankOf(16),
  layersOf("qv", { q_proj: 4, v_proj: 6 }),
  layersOf("o", { o_proj: 8 }),
  layersOf("k", { k_proj: 12 }),
  layersOf("qk", { q_proj: 4, k_proj: 6 }),
  rankOf(2),
  rankOf(8),
];

/** What all choices share; one may have a learning rate of its own. */
export const recipe = {
  lr: 3e-3,
  schedule: "linear",
  warmup: 0.1,
  batchSize: 8,
  steps: 40,
} as const satisfies Partial<TrainOptions>;

/** A choice whose learning rate is tried out. */
export interface Pilot {
  readonly id: string;
  readonly rates: readonly number[];
}

/** The rate of the recipe is chosen at the paper's rank; training every weight wants one of its own. */
export const firstPilots: readonly Pilot[] = [
  { id: "qv-r4", rates: [1e-3, 3e-3, 1e-2] },
  { id: "full", rates: [3e-5, 1e-4, 3e-4] },
];

/** Whether it is as good at the ends: asked after the first seed, since the answer may only confirm it. */
export const laterPilots: readonly Pilot[] = [
  { id: "qv-r64", rates: [3e-3, 1e-3, 1e-2] },
  { id: "qv-r1", rates: [3e-3, 1e-3, 1e-2] },
];
