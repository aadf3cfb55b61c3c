import { meanLoss, perplexity } from "../../src/evaluation/probe-score.js";
import { lossDifference, type PairedDifference } from "../../src/evaluation/statistics.js";
import type { TokenLoss } from "../../src/evaluation/subject.js";
import type { Losses, RunResult } from "./results.js";

/** The runs of one choice, all seeds that have ended. */
export interface ChoiceSummary {
  readonly id: string;
  readonly parameters: number;
  /** Validation loss by seed, nats a token. */
  readonly seeds: ReadonlyMap<number, number>;
  readonly mean: number;
  /** Loss of general text minus that of the base, in nats a token. */
  readonly general: PairedDifference;
  /** Of the general questions, right answers on average. */
  readonly right: number;
  readonly questions: number;
}

const tokenLosses = (losses: Losses): TokenLoss[] => losses.map(([nll, count]) => ({ nll, count }));

export const lossOf = ({ losses }: Pick<RunResult, "losses">): number => meanLoss(tokenLosses(losses));

/** The loss of each text, averaged over runs. */
function averaged(runs: readonly Losses[]): TokenLoss[] {
  const [first = []] = runs;
  return first.map(([, count], text) => ({ nll: runs.reduce((sum, losses) => sum + (losses[text]?.[0] ?? 0), 0) / runs.length, count }));
}

export function summarise(id: string, results: readonly RunResult[]): ChoiceSummary | undefined {
  const runs = results.filter((result) => result.stage === "main" && result.id === id);
  const base = results.find(({ stage }) => stage === "base");
  const [first] = runs;
  if (first === undefined || base?.general == null) return undefined;
  const seeds = new Map(runs.map((run) => [run.seed, lossOf(run)] as const));
  const rights = runs.map(({ general }) => [...(general?.right ?? "")].filter((right) => right === "1").length);
  return {
    id,
    parameters: first.parameters,
    seeds,
    mean: mean([...seeds.values()]),
    general: lossDifference(tokenLosses(base.general.passages), averaged(runs.map(({ general }) => general?.passages ?? []))),
    right: mean(rights),
    questions: base.general.right.length,
  };
}

/** Which texts: those of the task that are held out, or the general probe's passages. */
export type Measured = "task" | "general";

const lossesOn = ({ losses, general }: RunResult, measured: Measured): Losses => (measured === "task" ? losses : (general?.passages ?? []));

/**
 * The loss of one choice minus that of another on the same texts, over the seeds that both have. Its interval is over texts: what other
 * restaurants would give. Seeds are too few for one of their own.
 */
export function difference(
  from: string,
  to: string,
  results: readonly RunResult[],
  measured: Measured = "task",
): PairedDifference | undefined {
  const main = results.filter(({ stage }) => stage === "main");
  const pairs = main.flatMap((run) => {
    const other = run.id === to ? main.find(({ id, seed }) => id === from && seed === run.seed) : undefined;
    return other === undefined ? [] : [[lossesOn(other, measured), lossesOn(run, measured)] as const];
  });
  if (pairs.length === 0) return undefined;
  return lossDifference(averaged(pairs.map(([other]) => other)), averaged(pairs.map(([, run]) => run)));
}

export const basePerplexity = ({ general }: RunResult): number => perplexity(tokenLosses(general?.passages ?? []));

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
