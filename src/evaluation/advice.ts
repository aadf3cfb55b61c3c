/** What a run trains: an adapter beside a model, or all of the model. */
export type Trained = "adapter" | "model";

/** What the numbers of a run say, reduced to what advice depends on. */
export interface Findings {
  /** An adapter by default. */
  readonly trained?: Trained | undefined;
  /** Did the task measurably improve? `unknown`: measured on too few examples to say. */
  readonly target: "gain" | "loss" | "none" | "unknown";
  /** The share of held-out examples that are right, before and after; undefined where the task is measured by perplexity. */
  readonly share: { readonly before: number; readonly after: number } | undefined;
  /** How many held-out examples the target was measured on. */
  readonly examples: number;
  /** Did the answers to general questions change measurably? */
  readonly questions: "gain" | "loss" | "none" | "unknown";
  /** The measurable relative rise of the perplexity of general text; 0 where there is none. */
  readonly textLoss: number;
  readonly validation: ValidationTrend;
}

/** The course of the validation loss. `unknown`: measured fewer than twice. */
export type ValidationTrend =
  | { readonly course: "unknown" | "level" | "falling" }
  | {
      readonly course: "rising";
      readonly bestStep: number;
      readonly bestLoss: number;
      readonly lastStep: number;
      readonly lastLoss: number;
    };

export interface CurvePoint {
  readonly step: number;
  readonly loss: number;
}

/** A relative change of the loss below this is called level: validation sets are small. */
const LEVEL_CHANGE = 0.01;
/** The share of right answers that counts as learned. */
const LEARNED = 0.8;
/** So much more perplexity on general text is worth a warning; less is the usual price of any adapter. */
const WORRYING_TEXT_LOSS = 0.05;
/** Below this many held-out examples, an interval is wider than most differences. */
const FEW_EXAMPLES = 30;

/** Looks at the lowest, the last and the one before the last of the validation losses. */
export function validationTrend(curve: readonly CurvePoint[]): ValidationTrend {
  const [previous, last] = [curve.at(-2), curve.at(-1)];
  if (previous === undefined || last === undefined) return { course: "unknown" };
  const best = curve.reduce((lowest, point) => (point.loss < lowest.loss ? point : lowest));
  if (last.loss > best.loss * (1 + LEVEL_CHANGE)) {
    return { course: "rising", bestStep: best.step, bestLoss: best.loss, lastStep: last.step, lastLoss: last.loss };
  }
  return { course: last.loss < previous.loss * (1 - LEVEL_CHANGE) ? "falling" : "level" };
}

/** The course of the validation loss in words, where it deserves any. */
export function validationWords(trend: ValidationTrend, trained: Trained = "adapter"): string | undefined {
  if (trend.course === "rising") {
    const { bestStep, bestLoss, lastStep, lastLoss } = trend;
    return (
      `Validation loss was lowest, ${bestLoss.toFixed(3)}, at step ${bestStep} and rose to ${lastLoss.toFixed(3)} by step ${lastStep}: ` +
      "from there on the model learned its training examples by heart. " +
      `The ${trained} of the lowest loss is the one kept.`
    );
  }
  return trend.course === "falling" ? "Validation loss was still falling at the end: longer training would probably help." : undefined;
}

interface Rule {
  readonly when: (findings: Findings) => boolean;
  readonly say: (findings: Findings) => string;
}

/** In order of urgency; the first that applies speaks. The last always does. */
const RULES: readonly Rule[] = [
  {
    when: ({ target, share }) => target !== "gain" && share !== undefined && share.before >= LEARNED,
    say: ({ trained }) =>
      `the model could do this before, so use it ${trained === "model" ? "as it was" : "without an adapter"} or choose harder examples`,
  },
  {
    when: ({ target, validation }) => target !== "gain" && validation.course === "falling",
    say: () => "the task is not learned yet but the loss was still falling, so train longer (--epochs)",
  },
  {
    when: ({ target }) => target === "unknown",
    say: askForMore,
  },
  {
    when: ({ target }) => target !== "gain",
    say: () => "the task was not learned: see with `lorikeet data` what the model is shown, then try a higher --lr or more examples",
  },
  {
    when: ({ questions, textLoss }) => questions === "loss" || textLoss > WORRYING_TEXT_LOSS,
    say: () => "to lose less elsewhere, train with a lower --lr or fewer steps, or mix general examples into the data",
  },
  {
    when: ({ validation }) => validation.course === "rising",
    say: ({ validation }) =>
      `validation loss rose after step ${validation.course === "rising" ? validation.bestStep : 0}, so train for fewer steps, add examples, or set --dropout 0.05`,
  },
  {
    when: ({ share, validation }) => share !== undefined && share.after < LEARNED && validation.course === "falling",
    say: () => "the loss was still falling, so train longer (--epochs)",
  },
  {
    when: ({ share }) => share !== undefined && share.after < LEARNED,
    say: ({ trained }) => `add examples like those it gets wrong, or ${trained === "model" ? "train with a higher --lr" : "raise --rank"}`,
  },
  {
    when: ({ examples }) => examples < FEW_EXAMPLES,
    say: askForMore,
  },
  { when: () => true, say: ({ trained = "adapter" }) => `try the ${trained} with \`lorikeet chat\`` },
];

function askForMore({ examples }: Findings): string {
  return `measure on more held-out examples, since ${examples} ${examples === 1 ? "says" : "say"} little`;
}

/** What to do next, as the end of a sentence. */
export function nextStep(findings: Findings): string {
  return RULES.find(({ when }) => when(findings))?.say(findings) ?? "";
}
