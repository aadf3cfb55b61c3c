import { validationTrend, validationWords } from "../../src/evaluation/advice.js";
import type { PrintableReport } from "../../src/evaluation/report/report-html.js";
import type { TradeOffReport } from "../../src/evaluation/trade-off.js";

/** A report as a run on natural language → cron could end with; parts can be replaced. */
export function exampleReport(changes: Partial<PrintableReport> = {}): PrintableReport {
  const next = "try the adapter with `lorikeet chat`";
  const curves = exampleCurves(300);
  const report: PrintableReport = {
    version: 1,
    target: {
      metric: "same schedule",
      before: 0.03,
      after: 0.82,
      unit: "share",
      difference: 0.79,
      interval: [0.694, 0.855],
      n: 100,
      verdict: "gain",
    },
    general: {
      accuracy: {
        before: 0.6125,
        after: 0.60625,
        unit: "share",
        difference: -0.00625,
        interval: [-0.0298, 0.0174],
        n: 320,
        verdict: "none",
        bySkill: {
          knowledge: { before: 0.7125, after: 0.7, n: 80 },
          language: { before: 0.825, after: 0.825, n: 80 },
          arithmetic: { before: 0.3125, after: 0.3, n: 80 },
          instruction: { before: 0.6, after: 0.6, n: 80 },
        },
      },
      perplexity: {
        before: 14.31,
        after: 14.62,
        unit: "perplexity",
        difference: 0.0217,
        interval: [0.0112, 0.0334],
        n: 40,
        verdict: "loss",
      },
    },
    samples: [
      {
        prompt: "Write the cron expression: at half past seven every weekday morning",
        expected: "30 7 * * 1-5",
        before:
          "The cron expression for half past seven every weekday morning is:\n\n```\n0 7 * * *\n```\n\nThis means that the job runs at 7:00.",
        after: "30 7 * * 1-5",
        right: { before: false, after: true },
      },
      {
        prompt: "Write the cron expression: every quarter of an hour on Sundays",
        expected: "*/15 * * * 0",
        before: "Every quarter of an hour on Sundays.",
        after: "0,15,30,45 * * * SUN",
        right: { before: false, after: true },
      },
      {
        prompt: "Write the cron expression: on the first of January and July at midnight",
        expected: "0 0 1 1,7 *",
        before: "",
        after: "0 0 1 1-7 *",
        right: { before: false, after: false },
      },
    ],
    sentence: `82 of 100 right, 3 before; general questions unchanged within noise, perplexity of general text 2.2 % higher; next: ${next}.`,
    next,
    validation: validationWords(validationTrend(curves.validation)) ?? null,
    curves,
    cost: { seconds: 401.3, tokensPerSecond: 431.7, peakBytes: 4_812_345_678 },
    run: {
      model: "smollm2-135m",
      data: "assets/cron/train.jsonl",
      out: "runs/cron",
      rank: 16,
      alpha: 32,
      dropout: 0,
      layers: { kind: "all-linear" },
      betas: [0.9, 0.999],
      learningRate: 0.0002,
      schedule: "cosine",
      batchSize: 4,
      resume: false,
    },
  };
  return { ...report, ...changes };
}

/** Losses that fall with noise; validation is measured eight times and rises at the end. */
export function exampleCurves(steps: number): TradeOffReport["curves"] {
  const noise = (step: number) => Math.sin(step * 12.9898) * 0.5 + Math.sin(step * 78.233) * 0.5;
  const trend = (step: number) => 0.25 + 2.6 * Math.exp((-9 * step) / steps);
  const train = Array.from({ length: steps }, (_, index) => ({ step: index + 1, loss: trend(index + 1) * (1 + 0.22 * noise(index + 1)) }));
  const validation = Array.from({ length: 8 }, (_, index) => {
    const step = Math.round(((index + 1) * steps) / 8);
    return { step, loss: trend(step) + 0.08 + 0.04 * Math.max(0, index - 5) ** 2 };
  });
  return { train, validation };
}
