import type { Measured, TradeOffReport } from "../../workflows/api.js";
import { answerText, intervalText } from "./evaluation.js";
import { percentText, plainNumber, signed } from "./numbers.js";
import type { Paint } from "./paint.js";
import { table } from "./table.js";

/** Held-out prompts that the end of a run shows. */
const shownSamples = 3;

/** The end of a run for people: three answers, a table, a sentence, and what to try next. */
export function reportText(report: TradeOffReport, paint: Paint): string {
  const { target, general } = report;
  const show = target.metric.includes("loss") || target.metric.includes("perplexity") ? plainNumber : percentText;
  const columns = [
    { title: "" },
    { title: "examples", right: true },
    { title: "before", right: true },
    { title: "after", right: true },
    { title: "difference", right: true },
    { title: "95 % interval" },
  ];
  const rows = [
    row(`target: ${target.metric}`, target, show),
    row("general: right answers", general.accuracy, percentText),
    row("general: perplexity", general.perplexity, plainNumber),
  ];
  const samples = report.samples
    .slice(0, shownSamples)
    .map(({ prompt, expected, before, after }) => answerText({ prompt, expected, base: before, adapted: after }, paint));
  return [...samples, table(columns, rows), "", paint("bold", report.sentence), report.next].join("\n").trimEnd();
}

function row(name: string, { before, after, n, difference, interval }: Measured, show: (value: number) => string): string[] {
  return [name, String(n), show(before), show(after), signed(show(difference)), intervalText(interval, show)];
}
