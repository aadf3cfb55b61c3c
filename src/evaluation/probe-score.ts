import { type ClozeQuestion, SKILLS, type Skill } from "./probe.js";
import { scoreSequences } from "./score.js";
import { shareOf } from "./share.js";
import type { ScoredSequence, Subject, TokenLoss } from "./subject.js";

/** Text to token ids, no special tokens added and none recognised. Handed in, because a measurement knows no files. */
export type Tokenise = (text: string) => readonly number[];

export interface ClozeScore {
  /** The share of questions answered rightly, 0 to 1. */
  readonly accuracy: number;
  /** The same for each skill that the questions have. */
  readonly bySkill: Readonly<Partial<Record<Skill, { readonly accuracy: number; readonly n: number }>>>;
  /** Right or wrong, in the order of the questions, so that two models can be compared question by question. */
  readonly correct: readonly boolean[];
}

export interface PassageScore {
  /** exp of the mean loss of a token over all passages. */
  readonly perplexity: number;
  /** In the order of the passages. */
  readonly losses: readonly TokenLoss[];
}

/**
 * Asks cloze questions: the answer is the choice whose tokens are likeliest after the prompt, by the mean log-likelihood of a
 * token, so that a choice of three tokens does not lose to one of two merely by its length (Brown et al. 2020, "Language Models
 * are Few-Shot Learners", section 2.4). Ties go to the earlier choice.
 *
 * A question is framed as plain text, `prompt + " " + choice`, and not as a turn of a chat: base models, which know no chat
 * template, and chat models answer the same questions, and an adapter trained on one template is not measured by how it takes another.
 */
export async function scoreCloze(
  subject: Subject,
  questions: readonly ClozeQuestion[],
  tokenise: Tokenise,
  signal?: AbortSignal,
): Promise<ClozeScore> {
  const sequences = questions.flatMap(({ prompt, choices }) => choices.map((choice) => continuation(prompt, choice, tokenise)));
  const losses = await scoreSequences(subject, sequences, "general text", signal);
  let next = 0;
  const correct = questions.map(({ choices, answer }) => {
    const means = losses.slice(next, next + choices.length).map(({ nll, count }) => nll / count);
    next += choices.length;
    return means.indexOf(Math.min(...means)) === answer;
  });
  return { accuracy: shareOf(correct), bySkill: bySkill(questions, correct), correct };
}

/** Reads passages of general text and measures how well each token was foreseen, the first of each passage aside. */
export async function scorePassages(
  subject: Subject,
  passages: readonly string[],
  tokenise: Tokenise,
  signal?: AbortSignal,
): Promise<PassageScore> {
  const sequences = passages.map((passage) => {
    const ids = tokenise(passage);
    return { ids, supervised: ids.map((_, index) => index > 0) };
  });
  const losses = await scoreSequences(subject, sequences, "general text", signal);
  return { perplexity: perplexity(losses), losses };
}

/** exp(Σ nll / Σ count): a long text counts by its tokens. NaN when there is no token. */
export function perplexity(losses: readonly TokenLoss[]): number {
  return Math.exp(meanLoss(losses));
}

/** Σ nll / Σ count, in nats a token. */
export function meanLoss(losses: readonly TokenLoss[]): number {
  const [nll, count] = losses.reduce(([sum, n], loss) => [sum + loss.nll, n + loss.count], [0, 0]);
  return nll / count;
}

/**
 * The tokens of prompt and choice together, those of the choice supervised. They are found as what follows the common
 * beginning with the prompt's own tokens, for a tokenizer may join the prompt's end with what comes after it.
 */
function continuation(prompt: string, choice: string, tokenise: Tokenise): ScoredSequence {
  const [before, ids] = [tokenise(prompt), tokenise(`${prompt} ${choice}`)];
  let shared = 0;
  while (shared < before.length && before[shared] === ids[shared]) shared++;
  const first = Math.max(1, Math.min(shared, ids.length - 1));
  return { ids, supervised: ids.map((_, index) => index >= first) };
}

function bySkill(questions: readonly ClozeQuestion[], correct: readonly boolean[]): ClozeScore["bySkill"] {
  const entries = SKILLS.map((skill) => [skill, correct.filter((_, index) => questions[index]?.skill === skill)] as const);
  return Object.fromEntries(
    entries.filter(([, own]) => own.length > 0).map(([skill, own]) => [skill, { accuracy: shareOf(own), n: own.length }]),
  );
}
