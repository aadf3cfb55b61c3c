import { type CurvePoint, type Findings, nextStep, type Trained, validationTrend, validationWords } from "./advice.js";
import type { GeneralMeasure } from "./general.js";
import { SKILLS, type Skill } from "./probe.js";
import { type ClozeScore, perplexity } from "./probe-score.js";
import { shareOf } from "./share.js";
import { accuracyDifference, direction, lossDifference, type PairedDifference } from "./statistics.js";
import type { TokenLoss } from "./subject.js";

/** One measure before and after, adapter off and on, over the same n items. */
export interface Change {
  readonly before: number;
  readonly after: number;
  /** `share`: right answers, 0 to 1, more is better. `perplexity`: less is better. */
  readonly unit: "share" | "perplexity";
  /** After minus before for a share; the relative change, after / before − 1, for a perplexity. */
  readonly difference: number;
  /** The 95 % interval of the difference; null where there are too few items for one. */
  readonly interval: readonly [low: number, high: number] | null;
  readonly n: number;
  /** `none` where the interval covers zero, `unknown` where there is none. */
  readonly verdict: "gain" | "loss" | "none" | "unknown";
}

/** A held-out prompt, what was expected, and what the model said without and with the adapter. */
export interface Sample {
  readonly prompt: string;
  readonly expected: string;
  readonly before: string;
  readonly after: string;
}

export interface Curves {
  readonly train: readonly CurvePoint[];
  readonly validation: readonly CurvePoint[];
}

/** Of the training alone. */
export interface Cost {
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly peakBytes: number;
}

/** What an adapter gained and what it cost elsewhere: plain JSON, written at the end of a run. */
export interface TradeOffReport {
  readonly version: 1;
  /** An adapter by default. */
  readonly trained?: Trained | undefined;
  readonly target: Change & { readonly metric: string; readonly caution?: string | undefined };
  readonly general: {
    readonly accuracy: Change & { readonly bySkill: Readonly<Partial<Record<Skill, { before: number; after: number; n: number }>>> };
    readonly perplexity: Change;
  };
  readonly samples: readonly Sample[];
  /** The outcome in one sentence. */
  readonly sentence: string;
  /** The last part of the sentence: what to do now. */
  readonly next: string;
  /** What the validation curve says in words, if anything. */
  readonly validation: string | null;
  readonly curves: Curves;
  readonly cost: Cost;
  /** The options of the run. */
  readonly run: Readonly<Record<string, unknown>>;
}

/** How the task itself was measured: right or wrong for each example, or the loss of each where no answer is the only right one. */
export type TargetMeasure =
  | { readonly kind: "right"; readonly metric: string; readonly before: readonly boolean[]; readonly after: readonly boolean[] }
  | { readonly kind: "loss"; readonly metric: string; readonly before: readonly TokenLoss[]; readonly after: readonly TokenLoss[] };

export interface TradeOffInput {
  readonly trained?: Trained | undefined;
  readonly target: TargetMeasure;
  /** What a reader should know of the examples that the task was measured on. */
  readonly caution?: string | undefined;
  readonly general: { readonly before: GeneralMeasure; readonly after: GeneralMeasure };
  readonly samples: readonly Sample[];
  readonly curves: Curves;
  readonly cost: Cost;
  readonly run: Readonly<Record<string, unknown>>;
}

/** Compares the measurements before and after, item by item, and says in words what they mean. */
export function buildTradeOffReport({
  trained,
  target: measure,
  caution,
  general: { before, after },
  samples,
  curves,
  cost,
  run,
}: TradeOffInput): TradeOffReport {
  const target = { metric: measure.metric, ...targetChange(measure), ...(caution === undefined ? {} : { caution }) };
  const accuracy = { ...shareChange(before.cloze.correct, after.cloze.correct), bySkill: skillChanges(before.cloze, after.cloze) };
  const text = perplexityChange(before.passages.losses, after.passages.losses);
  const trend = validationTrend(curves.validation);
  const next = nextStep({
    trained,
    target: target.verdict,
    share: target.unit === "share" ? target : undefined,
    examples: target.n,
    questions: accuracy.verdict,
    textLoss: text.verdict === "loss" ? text.difference : 0,
    validation: trend,
  } satisfies Findings);
  return {
    version: 1,
    ...(trained === undefined ? {} : { trained }),
    target,
    general: { accuracy, perplexity: text },
    samples,
    sentence: `${targetWords(target)}; ${generalWords(accuracy, text)}; next: ${next}.`,
    next,
    validation: validationWords(trend, trained) ?? null,
    curves,
    cost,
    run,
  };
}

/** The verdict as a table shows it: people ask of their task whether it changed, and of everything else whether it suffered. */
export function verdictWords(change: Change, side: "target" | "general"): string {
  if (change.verdict === "unknown") return "too few examples to tell";
  if (change.verdict === "none") return side === "target" ? "no measurable change" : "no measurable loss";
  return `measurable ${change.verdict}`;
}

/** Where an interval says nothing, better and worse are the same. */
const SILENT = { none: "none", unknown: "unknown" } as const;

/** Right answers before and after. */
export function shareChange(before: readonly boolean[], after: readonly boolean[]): Change {
  const paired = accuracyDifference(before, after);
  const verdict = ({ ...SILENT, up: "gain", down: "loss" } as const)[direction(paired)];
  return { before: shareOf(before), after: shareOf(after), unit: "share", ...paired, n: before.length, verdict };
}

/** Perplexities before and after; the interval of the mean loss becomes one of the ratio, since exp is monotonic. */
export function perplexityChange(before: readonly TokenLoss[], after: readonly TokenLoss[]): Change {
  const paired = lossDifference(before, after);
  const relative: PairedDifference = {
    difference: Math.expm1(paired.difference),
    interval: paired.interval === null ? null : [Math.expm1(paired.interval[0]), Math.expm1(paired.interval[1])],
  };
  const verdict = ({ ...SILENT, up: "loss", down: "gain" } as const)[direction(paired)];
  return { before: perplexity(before), after: perplexity(after), unit: "perplexity", ...relative, n: before.length, verdict };
}

function targetChange(measure: TargetMeasure): Change {
  return measure.kind === "right" ? shareChange(measure.before, measure.after) : perplexityChange(measure.before, measure.after);
}

function skillChanges(before: ClozeScore, after: ClozeScore): TradeOffReport["general"]["accuracy"]["bySkill"] {
  const changes: Partial<Record<Skill, { before: number; after: number; n: number }>> = {};
  for (const skill of SKILLS) {
    const [was, is] = [before.bySkill[skill], after.bySkill[skill]];
    if (was !== undefined && is !== undefined) changes[skill] = { before: was.accuracy, after: is.accuracy, n: was.n };
  }
  return changes;
}

/** What the end of a sentence adds about a difference that is none, or may be. */
export function noiseWords({ verdict }: Change): string {
  if (verdict === "unknown") return ", too few examples to tell";
  return verdict === "none" ? ", a difference within noise" : "";
}

function targetWords(target: Change): string {
  const noise = noiseWords(target);
  if (target.unit === "perplexity") {
    return `perplexity ${target.after.toFixed(2)} on ${target.n} held-out examples, ${target.before.toFixed(2)} before${noise}`;
  }
  const right = (share: number) => Math.round(share * target.n);
  return `${right(target.after)} of ${target.n} right, ${right(target.before)} before${noise}`;
}

function generalWords(questions: Change, text: Change): string {
  if (questions.verdict === "none" && text.verdict === "none") return "general ability unchanged within noise";
  return `${questionWords(questions)}, ${textWords(text)}`;
}

function questionWords({ verdict, before, after }: Change): string {
  if (verdict === "none") return "general questions unchanged within noise";
  return `general questions ${percent(before)} → ${percent(after)} right, a measurable ${verdict}`;
}

function textWords({ verdict, difference }: Change): string {
  if (verdict === "unknown") return "too little general text to tell";
  if (verdict === "none") return "general text unchanged within noise";
  return `perplexity of general text ${percent(Math.abs(difference))} ${verdict === "loss" ? "higher" : "lower"}`;
}

/** One digit after the point below ten percent, none above; what would round to nothing is said to be small, not zero. */
function percent(share: number): string {
  if (share > 0 && share < 0.0005) return "under 0.1 %";
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}
