import type { TextCodec } from "../text/tokenizer.js";
import type { ClozeQuestion } from "./probe.js";
import { type ClozeScore, type PassageScore, scoreCloze, scorePassages } from "./probe-score.js";
import type { Subject } from "./subject.js";

/** What the general probe asks: questions with choices, and passages of text. */
export interface Probe {
  readonly questions: readonly ClozeQuestion[];
  readonly passages: readonly string[];
}

/** What a model can do beside its task. */
export interface GeneralMeasure {
  readonly cloze: ClozeScore;
  readonly passages: PassageScore;
}

/** Asks the general probe. Its texts are plain: no chat template, control tokens in them are text. */
export async function measureGeneral(
  subject: Subject,
  { questions, passages }: Probe,
  codec: TextCodec,
  signal?: AbortSignal,
): Promise<GeneralMeasure> {
  const tokenise = (text: string) => [...codec.startIds, ...codec.encode(text, { special: false })];
  return {
    cloze: await scoreCloze(subject, questions, tokenise, signal),
    passages: await scorePassages(subject, passages, tokenise, signal),
  };
}

/** Sequences that one asking scores, for a progress line. */
export function probeSequences({ questions, passages }: Probe): number {
  return passages.length + questions.reduce((sum, { choices }) => sum + choices.length, 0);
}
