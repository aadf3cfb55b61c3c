import { describe, expect, it } from "vitest";
import { RunError } from "../../src/errors.js";
import type { ClozeQuestion } from "../../src/evaluation/probe.js";
import { scoreCloze, scorePassages } from "../../src/evaluation/probe-score.js";
import type { ScoredSequence, Subject } from "../../src/evaluation/subject.js";

/** Words and the spaces before them are tokens: "a b" → "a", " b". */
const vocabulary: string[] = [];
const tokenise = (text: string) =>
  (text.match(/ ?[^ ]+/g) ?? []).map((word) => {
    if (!vocabulary.includes(word)) vocabulary.push(word);
    return vocabulary.indexOf(word);
  });

/** A model to which each word has a fixed loss, wherever it stands; it also remembers what it was shown. */
function wordModel(losses: Record<string, number>): Subject & { seen: ScoredSequence[] } {
  const seen: ScoredSequence[] = [];
  return {
    seen,
    async score(examples) {
      seen.push(...examples);
      return Array.from(examples, ({ ids, supervised }) => {
        const counted = Array.from(ids).filter((_, index) => supervised[index]);
        return { nll: counted.reduce((sum, id) => sum + (losses[vocabulary[id]!] ?? 1), 0), count: counted.length };
      });
    },
    complete: async (prompts) => Array.from(prompts, () => ""),
  };
}

const question = (id: string, skill: ClozeQuestion["skill"], prompt: string, choices: string[], answer: number): ClozeQuestion => ({
  id,
  skill,
  prompt,
  choices,
  answer,
});

describe("scoreCloze", () => {
  it("supervises the tokens of the choice alone, after one space", async () => {
    const model = wordModel({});
    await scoreCloze(model, [question("a", "language", "The old dog", ["barks loudly", "meows"], 0)], tokenise);
    const shown = model.seen.map(({ ids, supervised }) => Array.from(ids).map((id, index) => [vocabulary[id], supervised[index]]));
    expect(shown).toEqual([
      [
        ["The", false],
        [" old", false],
        [" dog", false],
        [" barks", true],
        [" loudly", true],
      ],
      [
        ["The", false],
        [" old", false],
        [" dog", false],
        [" meows", true],
      ],
    ]);
  });

  it("finds where the choice begins when the tokenizer joins the prompt's end with it", async () => {
    const model = wordModel({});
    // A tokenizer with a token for " = 4" as a whole.
    const joining = (text: string) => (text.match(/ = 4| ?[^ ]+/g) ?? []).map((word) => tokenise(word)[0] ?? 0);
    await scoreCloze(model, [question("a", "arithmetic", "2 + 2 =", ["4", "5"], 0)], joining);
    expect(model.seen.map(({ supervised }) => Array.from(supervised))).toEqual([
      [false, false, false, true],
      [false, false, false, false, true],
    ]);
  });

  it("chooses by the mean loss of a token, so that length does not decide", async () => {
    const model = wordModel({ " x": 3, " y": 2, " z": 2 });
    const score = await scoreCloze(model, [question("a", "language", "P", ["x", "y z"], 1)], tokenise);
    expect(score.correct).toEqual([true]);
  });

  it("reports accuracy by skill and outcomes in order, ties to the earlier choice", async () => {
    const model = wordModel({ " good": 0.1, " bad": 2 });
    const score = await scoreCloze(
      model,
      [
        question("a", "language", "P", ["good", "bad"], 0),
        question("b", "language", "Q", ["good", "bad"], 1),
        question("c", "knowledge", "R", ["bad", "worse", "good"], 2),
        question("d", "knowledge", "S", ["same", "equal"], 0),
      ],
      tokenise,
    );
    expect(score).toEqual({
      accuracy: 0.75,
      bySkill: { knowledge: { accuracy: 1, n: 2 }, language: { accuracy: 0.5, n: 2 } },
      correct: [true, false, true, true],
    });
  });

  it("stops at a loss that is no number", async () => {
    const model = wordModel({ " x": Number.NaN });
    const asked = scoreCloze(model, [question("a", "language", "P", ["x", "y"], 0)], tokenise);
    await expect(asked).rejects.toThrow(RunError);
    await expect(asked).rejects.toThrow("is NaN, not a number: the adapter's weights have run away. Train again with a lower --lr.");
  });

  it("hands the signal on", async () => {
    const controller = new AbortController();
    const subject: Subject = {
      score: async (_, signal) => {
        signal?.throwIfAborted();
        return [];
      },
      complete: async () => [],
    };
    controller.abort(new Error("enough"));
    await expect(scorePassages(subject, ["a b"], tokenise, controller.signal)).rejects.toThrow("enough");
  });
});

describe("scorePassages", () => {
  it("weighs all tokens alike, the first of each passage aside", async () => {
    const score = await scorePassages(wordModel({ " b": 2, " c": 4, " d": 0 }), ["a b", "a c d"], tokenise);
    expect(score.losses).toEqual([
      { nll: 2, count: 1 },
      { nll: 4, count: 2 },
    ]);
    expect(score.perplexity).toBeCloseTo(Math.exp(6 / 3), 12);
  });
});
