import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { InputError, RunError } from "../../src/errors.js";
import { completeBatch } from "../../src/generation/answer-batch.js";
import type { GenerationProgram } from "../../src/generation/generation-program.js";
import { GenerationSession } from "../../src/generation/generator.js";
import { loadTinyModel, type TinyModel } from "../support/tiny-model.js";
import { answer, answerAlone, openGeneration, randomIds } from "./support.js";

let tiny: TinyModel;
let program: GenerationProgram;
beforeAll(async () => {
  tiny = await loadTinyModel("tiny-llama");
  program = await openGeneration(tiny, "adapted");
});
afterAll(() => program.release());
afterEach(() => {
  vi.restoreAllMocks();
});

/** Tokens that each step of the program is fed from now on, of the first sequence. */
function fedTokens(): number[][] {
  const fed: number[][] = [];
  const step = program.step.bind(program);
  vi.spyOn(program, "step").mockImplementation((cache, sequences) => {
    fed.push([...sequences[0]!]);
    return step(cache, sequences);
  });
  return fed;
}

describe("a session", () => {
  test("goes on with a longer prompt without computing its beginning again", async () => {
    const session = new GenerationSession(program);
    const prompt = randomIds(10, 1);
    const first = await answer(session, prompt, { maxNewTokens: 6 });
    const next = [...prompt, ...first, ...randomIds(4, 2)];
    const fed = fedTokens();
    const second = await answer(session, next, { maxNewTokens: 6 });
    expect(fed[0]).toEqual(next.slice(15)); // the last answered token was never fed
    expect(second).toEqual(await answerAlone(program, next, { maxNewTokens: 6 }));
  });

  test("forgets what a diverging prompt does not share", async () => {
    const session = new GenerationSession(program);
    const prompt = randomIds(12, 3);
    await answer(session, prompt, { maxNewTokens: 8 });
    for (const shared of [0, 1, 5, 11]) {
      const diverged = [...prompt.slice(0, shared), ...randomIds(6, 50 + shared)];
      expect(diverged[shared]).not.toBe(prompt[shared]);
      const fed = fedTokens();
      const got = await answer(session, diverged, { maxNewTokens: 8 });
      expect(fed[0]).toEqual(diverged.slice(shared));
      vi.restoreAllMocks();
      expect(got).toEqual(await answerAlone(program, diverged, { maxNewTokens: 8 }));
      await answer(session, prompt, { maxNewTokens: 8 });
    }
  });

  test("asked the same again, or for a beginning of what it holds, feeds one token and answers the same", async () => {
    const session = new GenerationSession(program);
    const prompt = randomIds(12, 4);
    const want = await answer(session, prompt);
    const fed = fedTokens();
    expect(await answer(session, prompt)).toEqual(want);
    expect(fed[0]).toEqual(prompt.slice(-1));
    vi.restoreAllMocks();
    expect(await answer(session, prompt.slice(0, 7))).toEqual(await answerAlone(program, prompt.slice(0, 7)));
  });

  test("may be left in the middle of an answer, or stopped, and goes on right", async () => {
    const session = new GenerationSession(program);
    const prompt = randomIds(8, 5);
    const want = await answerAlone(program, prompt, { maxNewTokens: 10 });
    const abort = new AbortController();
    const stopped = answer(session, prompt, { maxNewTokens: 10, signal: abort.signal });
    abort.abort();
    await expect(stopped).rejects.toThrow(/abort/i);
    const options = {
      prompt,
      maxNewTokens: 10,
      endIds: new Set<number>(),
      sampling: { temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1 },
    };
    let seen = 0;
    for await (const id of session.generate({ ...options, random: { uniform: () => 0 } as never })) {
      expect(id).toBe(want[seen++]);
      if (seen === 4) break;
    }
    expect(await answer(session, prompt, { maxNewTokens: 10 })).toEqual(want);
  });

  test("ends at an end token without yielding it, and before its limit", async () => {
    const prompt = randomIds(8, 6);
    const whole = await answerAlone(program, prompt, { maxNewTokens: 20 });
    const end = whole[5]!;
    const want = whole.slice(0, whole.indexOf(end));
    expect(await answerAlone(program, prompt, { maxNewTokens: 20, endIds: [0, end] })).toEqual(want);
    expect(await answerAlone(program, prompt, { maxNewTokens: 3 })).toEqual(whole.slice(0, 3));
    expect(await answerAlone(program, prompt, { maxNewTokens: 0 })).toEqual([]);
  });

  test("draws the same from the same seed, and penalises prompt and answer alike", async () => {
    const prompt = randomIds(8, 7);
    const sampling = { temperature: 1.2, topK: 40, topP: 0.95, repetitionPenalty: 1 };
    const ask = (seed: number) => answerAlone(program, prompt, { maxNewTokens: 20, sampling, seed });
    expect(await ask(3)).toEqual(await ask(3));
    expect(await ask(3)).not.toEqual(await ask(4));
    // So heavy a penalty that nothing is said twice, nor repeated from the prompt.
    const penal = await answerAlone(program, prompt, {
      maxNewTokens: 30,
      sampling: { ...sampling, temperature: 0, repetitionPenalty: 1e6 },
    });
    expect(new Set([...prompt, ...penal]).size).toBe(new Set(prompt).size + penal.length);
  });
});

describe("the longest sequence", () => {
  const MAX = 24;
  let short: GenerationProgram;
  beforeAll(async () => {
    short = await openGeneration(tiny, "base", MAX);
  });
  afterAll(() => short.release());

  test("ends an answer, alone and in a batch", async () => {
    const prompts = [randomIds(20, 1), randomIds(24, 2), randomIds(5, 3)];
    const alone = await Promise.all(prompts.map((prompt) => answerAlone(short, prompt, { maxNewTokens: 100 })));
    expect(alone.map(({ length }) => length)).toEqual([4, 0, 19]);
    expect(await completeBatch(short, prompts, { maxNewTokens: 100, endIds: new Set() })).toEqual(alone);
    const long = await openGeneration(tiny, "base");
    expect(alone[0]).toEqual(await answerAlone(long, prompts[0]!, { maxNewTokens: 4 }));
    await long.release();
  });

  test("refuses a prompt beyond it, and an empty one, in words", async () => {
    const tooLong = answerAlone(short, randomIds(25, 1));
    await expect(tooLong).rejects.toThrow(InputError);
    await expect(tooLong).rejects.toThrow("The text has 25 tokens, the model is run with at most 24. Shorten the prompt.");
    const batch = completeBatch(short, [randomIds(3, 1), randomIds(25, 1)], { maxNewTokens: 4, endIds: new Set() });
    await expect(batch).rejects.toThrow("The text has 25 tokens");
    for (const empty of [answerAlone(short, []), completeBatch(short, [[5], []], { maxNewTokens: 4, endIds: new Set() })]) {
      await expect(empty).rejects.toThrow(InputError);
    }
  });

  test("a session goes on after a refusal", async () => {
    const session = new GenerationSession(short);
    const prompt = randomIds(6, 9);
    const want = await answer(session, prompt);
    await expect(answer(session, [...prompt, ...randomIds(30, 1)])).rejects.toThrow(InputError);
    expect(await answer(session, prompt)).toEqual(want);
  });
});

describe("a batch of prompts of unequal length", () => {
  const prompts = [1, 5, 9, 3, 14].map((length, index) => randomIds(length, 20 + index));

  test("gives each the answer that it gets alone, whichever ends first", async () => {
    const free = await Promise.all(prompts.map((prompt) => answerAlone(program, prompt, { maxNewTokens: 15 })));
    const endIds = [free[1]![0]!, free[3]![2]!, free[2]![7]!];
    const alone = await Promise.all(prompts.map((prompt) => answerAlone(program, prompt, { maxNewTokens: 15, endIds })));
    expect(new Set(alone.map(({ length }) => length)).size).toBeGreaterThan(2);
    expect(alone[1]).toEqual([]);
    expect(await completeBatch(program, prompts, { maxNewTokens: 15, endIds: new Set(endIds) })).toEqual(alone);
  });

  test("stops when all have ended, lets others in between, and heeds an abort", async () => {
    const [first] = await Promise.all([answerAlone(program, prompts[0]!, { maxNewTokens: 5 })]);
    const fed = fedTokens();
    let breaths = 0;
    const breathe = () => {
      breaths++;
      return Promise.resolve();
    };
    await completeBatch(program, [prompts[0]!], { maxNewTokens: 50, endIds: new Set([first![2]!]), breathe });
    expect(fed.length).toBe(first!.indexOf(first![2]!) + 1);
    expect(breaths).toBe(fed.length);
    const aborted = completeBatch(program, prompts, { maxNewTokens: 5, endIds: new Set(), signal: AbortSignal.abort() });
    await expect(aborted).rejects.toThrow(/abort/i);
  });

  test("of none is none", async () => {
    expect(await completeBatch(program, [], { maxNewTokens: 5, endIds: new Set() })).toEqual([]);
    expect(await completeBatch(program, prompts, { maxNewTokens: 0, endIds: new Set() })).toEqual(prompts.map(() => []));
  });
});

test("a damaged adapter is told at the token where its numbers end, alone and in a batch", async () => {
  const damaged = await openGeneration(
    { ...tiny, adapter: tiny.adapter.map((value, index) => (index === 0 ? Number.NaN : value)) },
    "adapted",
  );
  try {
    const options = { maxNewTokens: 4, endIds: new Set<number>() };
    await expect(answerAlone(damaged, randomIds(5, 9))).rejects.toThrow(/no numbers for token 1 of its answer \(NaN\)/);
    await expect(answerAlone(damaged, randomIds(5, 9))).rejects.toBeInstanceOf(RunError);
    await expect(completeBatch(damaged, [randomIds(5, 9), randomIds(3, 10)], options)).rejects.toBeInstanceOf(RunError);
  } finally {
    await damaged.release();
  }
});
