import { describe, expect, it } from "vitest";
import { type CurvePoint, validationTrend, validationWords } from "../../src/evaluation/advice.js";
import type { GeneralMeasure } from "../../src/evaluation/general.js";
import { buildTradeOffReport, type TradeOffInput, verdictWords } from "../../src/evaluation/trade-off.js";

const right = (count: number, n: number) => Array.from({ length: n }, (_, index) => index < count);

/** 400 questions of which `correct` are answered rightly, and 40 passages whose tokens cost `loss` nats each, give or take a little. */
function general(correct: number, loss: number, wobble = 0): GeneralMeasure {
  const outcomes = right(correct, 400);
  const losses = Array.from({ length: 40 }, (_, index) => ({ nll: 100 * (loss + wobble * Math.sin(9 * index)), count: 100 }));
  return {
    cloze: { accuracy: correct / 400, bySkill: { knowledge: { accuracy: correct / 400, n: 400 } }, correct: outcomes },
    passages: { perplexity: Math.exp(loss), losses },
  };
}

const curve = (...losses: number[]): CurvePoint[] => losses.map((loss, index) => ({ step: 100 * (index + 1), loss }));

function report(overrides: Partial<TradeOffInput> & { validation?: CurvePoint[] } = {}) {
  const { validation = curve(0.9, 0.5, 0.5), ...rest } = overrides;
  return buildTradeOffReport({
    target: { kind: "right", metric: "same schedule", before: right(3, 100), after: right(82, 100) },
    general: { before: general(240, 3), after: general(239, 3, 0.01) },
    samples: [{ prompt: "every day at noon", expected: "0 12 * * *", before: "At noon.", after: "0 12 * * *" }],
    curves: { train: curve(2, 1), validation },
    cost: { seconds: 300, tokensPerSecond: 1100, peakBytes: 3e9 },
    run: { rank: 16 },
    ...rest,
  });
}

describe("the sentence", () => {
  it("says what was gained, what was lost and what to do", () => {
    expect(report().sentence).toBe(
      "82 of 100 right, 3 before; general ability unchanged within noise; next: try the adapter with `lorikeet chat`.",
    );
  });

  it("admits that a target difference is noise", () => {
    const found = report({ target: { kind: "right", metric: "exact match", before: right(10, 100), after: right(11, 100) } });
    expect(found.sentence).toMatch(
      /^11 of 100 right, 10 before, a difference within noise; general .*; next: the task was not learned: see with `lorikeet data`/,
    );
  });

  it("says when the model could do the task before", () => {
    expect(report({ target: { kind: "right", metric: "exact match", before: right(95, 100), after: right(96, 100) } }).next).toMatch(
      /^the model could do this before/,
    );
  });

  it("advises to go on while the loss falls", () => {
    const target = { kind: "right", metric: "exact match", before: right(3, 100), after: right(60, 100) } as const;
    expect(report({ target, validation: curve(0.9, 0.7, 0.5) }).next).toBe("the loss was still falling, so train longer (--epochs)");
    expect(report({ target }).next).toBe("add examples like those it gets wrong, or raise --rank");
    const unlearned = { ...target, after: right(4, 100) };
    expect(report({ target: unlearned, validation: curve(0.9, 0.7) }).next).toMatch(/not learned yet but the loss was still falling/);
  });

  it("names a loss of general ability", () => {
    const questions = report({ general: { before: general(240, 3), after: general(200, 3, 0.01) } });
    expect(questions.sentence).toContain(
      "; general questions 60 % → 50 % right, a measurable loss, general text unchanged within noise; next: to lose less elsewhere",
    );
    const text = report({ general: { before: general(240, 3), after: general(241, 3.1) } });
    expect(text.sentence).toContain(
      "; general questions unchanged within noise, perplexity of general text 11 % higher; next: to lose less elsewhere",
    );
  });

  it("does not warn of a measurable trifle", () => {
    const found = report({ general: { before: general(240, 3), after: general(240, 3.01) } });
    expect(found.sentence).toBe(
      "82 of 100 right, 3 before; general questions unchanged within noise, perplexity of general text 1.0 % higher; next: try the adapter with `lorikeet chat`.",
    );
  });

  it("says rising validation loss in words", () => {
    const found = report({ validation: curve(0.9, 0.31, 0.42) });
    expect(found.validation).toBe(
      "Validation loss was lowest, 0.310, at step 200 and rose to 0.420 by step 300: from there on the model learned its training examples by heart. " +
        "The adapter of the lowest loss is the one kept.",
    );
    expect(found.next).toBe("validation loss rose after step 200, so train for fewer steps, add examples, or set --dropout 0.05");
  });

  it("gives a run that trained every weight no advice on adapters", () => {
    expect(report({ trained: "model" }).next).toBe("try the model with `lorikeet chat`");
    expect(report({ trained: "model", validation: curve(0.9, 0.31, 0.42) }).validation).toContain(
      "The model of the lowest loss is the one kept.",
    );
    const target = { kind: "right", metric: "same schedule", before: right(90, 100), after: right(91, 100) } as const;
    expect(report({ trained: "model", target }).next).toBe("the model could do this before, so use it as it was or choose harder examples");
  });

  it("asks for more examples where there are few", () => {
    const found = report({ target: { kind: "right", metric: "exact match", before: right(0, 12), after: right(12, 12) } });
    expect(found.next).toBe("measure on more held-out examples, since 12 say little");
  });

  it("measures free text by perplexity", () => {
    const losses = (nats: number) => Array.from({ length: 50 }, (_, index) => ({ nll: nats * 10 + (index % 3), count: 10 }));
    const found = report({ target: { kind: "loss", metric: "perplexity of the answers", before: losses(2), after: losses(1) } });
    expect(found.sentence).toMatch(/^perplexity 3\.00 on 50 held-out examples, 8\.15 before; /);
    expect(found.target.difference).toBeCloseTo(Math.exp(-1) - 1, 12);
    expect(found.target.verdict).toBe("gain");
  });
});

describe("too few texts for an interval", () => {
  const losses = (nats: number) => [
    { nll: nats * 10, count: 10 },
    { nll: nats * 10 + 1, count: 10 },
  ];
  const found = report({ target: { kind: "loss", metric: "perplexity of the answers", before: losses(2), after: losses(1) } });

  it("is neither a gain nor none", () => {
    expect(found.target).toMatchObject({ interval: null, verdict: "unknown" });
    expect(verdictWords(found.target, "target")).toBe("too few examples to tell");
  });

  it("is said, with what to do", () => {
    expect(found.sentence).toMatch(/^perplexity 2\.86 on 2 held-out examples, 7\.77 before, too few examples to tell; /);
    expect(found.next).toBe("measure on more held-out examples, since 2 say little");
  });
});

describe("the record", () => {
  it("is plain JSON", () => {
    const found = report();
    expect(JSON.parse(JSON.stringify(found))).toEqual(found);
  });

  it("holds both sides, the difference and its interval", () => {
    const { target, general: other } = report();
    expect(target).toMatchObject({ metric: "same schedule", before: 0.03, after: 0.82, unit: "share", n: 100, verdict: "gain" });
    expect(target.difference).toBeCloseTo(0.79, 12);
    expect(other.accuracy).toMatchObject({
      before: 0.6,
      after: 0.5975,
      n: 400,
      verdict: "none",
      bySkill: { knowledge: { before: 0.6, after: 0.5975, n: 400 } },
    });
    expect(other.perplexity.before).toBeCloseTo(Math.exp(3), 10);
    expect(other.perplexity.n).toBe(40);
  });

  it("puts verdicts into words", () => {
    const { target, general: other } = report();
    expect(verdictWords(target, "target")).toBe("measurable gain");
    expect(verdictWords(other.accuracy, "general")).toBe("no measurable loss");
    expect(verdictWords({ ...target, verdict: "none" }, "target")).toBe("no measurable change");
    expect(verdictWords({ ...target, verdict: "loss" }, "general")).toBe("measurable loss");
  });
});

describe("validationTrend", () => {
  it.each([
    [[], "unknown"],
    [[1], "unknown"],
    [[1, 0.5], "falling"],
    [[1, 0.5, 0.498], "level"],
    [[1, 0.5, 0.504], "level"],
    [[1, 0.5, 0.52], "rising"],
    [[1, 0.4, 0.6, 0.5], "rising"],
  ] as const)("%j is %s", (losses, course) => {
    expect(validationTrend(curve(...losses)).course).toBe(course);
  });

  it("has words for what matters only", () => {
    expect(validationWords({ course: "level" })).toBeUndefined();
    expect(validationWords({ course: "falling" })).toBe(
      "Validation loss was still falling at the end: longer training would probably help.",
    );
  });
});
