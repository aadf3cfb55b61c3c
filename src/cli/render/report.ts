import type { Change, Comparison, TradeOffReport } from "../../workflows/api.js";
import { comparisonTable, sampleText } from "./evaluation.js";
import type { Paint } from "./paint.js";

/** Held-out prompts that the end of a run shows. */
const shownSamples = 3;

/** The end of a run for people: three answers, a table, and a sentence that ends with what to do next. */
export function reportText(report: TradeOffReport, paint: Paint): string {
  const { target, general } = report;
  const comparisons = [
    comparison("target", target.metric, target),
    comparison("general", "questions", general.accuracy),
    comparison("general", "perplexity of text", general.perplexity),
  ];
  const lines = [
    ...report.samples.slice(0, shownSamples).map((sample) => sampleText(sample, paint)),
    comparisonTable(comparisons, true),
    "",
  ];
  if (report.validation !== null) lines.push(report.validation);
  lines.push(paint("bold", report.sentence));
  return lines.join("\n");
}

function comparison(side: Comparison["side"], metric: string, change: Change): Comparison {
  return { side, metric, unit: change.unit, n: change.n, base: change.before, adapted: change.after, change };
}
