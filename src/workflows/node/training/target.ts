import { type Example, encodeRows } from "../../../data/example.js";
import { readRows } from "../../../data/node/read-rows.js";
import { exactMatch } from "../../../evaluation/exact-match.js";
import { type Question, questionsOf } from "../../../evaluation/questions.js";
import { scoreSequences } from "../../../evaluation/score.js";
import type { ScoredSequence, Subject, TokenLoss } from "../../../evaluation/subject.js";
import type { TargetMeasure } from "../../../evaluation/trade-off.js";
import type { TextCodec } from "../../../text/tokenizer.js";
import { sameSchedule } from "../../demo/cron-score.js";

/** How a run's task is scored: answers equal to the expected ones, or cron expressions of the same meaning on a file of their own. */
export type TargetSpec = { readonly kind: "held-out" } | { readonly kind: "cron"; readonly file: string };

/** What is asked of a model before and after. */
export interface TargetTask {
  readonly metric: string;
  /** Right or wrong; absent where answers are too long for one wording to be the only right one. */
  readonly isRight: ((expected: string, actual: string) => boolean) | undefined;
  readonly questions: readonly Question[];
  /** Examples whose loss is measured where answers are not compared. */
  readonly sequences: readonly ScoredSequence[];
  readonly maxNewTokens: number;
}

export interface TargetResult {
  readonly answers: readonly string[];
  readonly losses: readonly TokenLoss[];
}

/** Answers of up to so many tokens are compared word by word; longer ones have more than one right wording. */
const SHORT_ANSWER = 32;
/** Room for an answer beyond the longest expected one. */
const SPARE_TOKENS = 8;
/** Tokens of the longest answer that is written. */
export const LONGEST_ANSWER = 160;

export const SAMPLES = 3;

/** The task that held-out examples stand for. Prompts of more than `maxTokens` are not asked. */
export async function targetTask(spec: TargetSpec, codec: TextCodec, heldOut: readonly Example[], maxTokens: number): Promise<TargetTask> {
  const examples = spec.kind === "cron" ? encodeRows(codec, (await readRows(spec.file)).rows, { maxLength: 1024 }).examples : heldOut;
  const questions = [...questionsOf(codec, examples, maxTokens)];
  const lengths = questions.map(({ expected }) => codec.encode(expected, { special: false }).length);
  const longest = lengths.reduce((most, length) => Math.max(most, length), 1);
  const comparable = questions.length === examples.length && longest <= SHORT_ANSWER;
  return {
    metric:
      spec.kind === "cron"
        ? "cron expressions with the right meaning"
        : comparable
          ? "answers equal to the expected ones"
          : "perplexity of the expected answers",
    isRight:
      spec.kind === "cron" ? sameSchedule : comparable ? (expected, actual) => exactMatch(expected, actual, "whitespace") : undefined,
    questions: comparable ? questions : questions.slice(0, SAMPLES),
    sequences: comparable ? [] : examples,
    maxNewTokens: Math.min(longest + SPARE_TOKENS, LONGEST_ANSWER),
  };
}

/** Asks a model the task's questions and scores its examples. */
export async function askTarget(subject: Subject, task: TargetTask, signal: AbortSignal): Promise<TargetResult> {
  const prompts = task.questions.map(({ ids }) => ids);
  return {
    answers: await subject.complete(prompts, { maxNewTokens: task.maxNewTokens, signal }),
    losses: await scoreSequences(subject, task.sequences, "held-out example", signal),
  };
}

export function targetMeasure({ metric, isRight, questions }: TargetTask, before: TargetResult, after: TargetResult): TargetMeasure {
  if (isRight === undefined) return { kind: "loss", metric, before: before.losses, after: after.losses };
  const judge = ({ answers }: TargetResult) => questions.map(({ expected }, index) => isRight(expected, answers[index] ?? ""));
  return { kind: "right", metric, before: judge(before), after: judge(after) };
}
