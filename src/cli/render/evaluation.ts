import { verdictWords } from "../../evaluation/trade-off.js";
import type { Change, Comparison, EvaluationResult, Sample } from "../../workflows/api.js";
import { confusionText, SHOWN_LABELS } from "./label-report.js";
import { percentText, plainNumber, signed } from "./numbers.js";
import { type Paint, printable } from "./paint.js";
import { type Column, table } from "./table.js";

/** Model and adapter side by side, some answers, and one sentence. */
export function evaluationText(result: EvaluationResult, paint: Paint): string {
  const compared = result.comparisons.some(({ adapted }) => adapted !== undefined);
  const { confusion, labels = [] } = result;
  return [
    ...result.samples.map((sample) => sampleText(sample, paint)),
    ...(confusion === undefined || labels.length > SHOWN_LABELS ? [] : [confusionText(confusion, labels), ""]),
    comparisonTable(result.comparisons, compared),
    "",
    printable(result.sentence),
  ].join("\n");
}

/** A row a measure; with an adapter also what it changed, with the 95 % interval and a verdict. */
export function comparisonTable(comparisons: readonly Comparison[], compared: boolean): string {
  const columns: Column[] = [
    { title: "measure" },
    { title: "examples", right: true },
    { title: compared ? "before" : "value", right: true },
  ];
  if (compared) {
    columns.push({ title: "after", right: true }, { title: "difference", right: true }, { title: "95 % interval" }, { title: "verdict" });
  }
  return table(
    columns,
    comparisons.map(({ metric, side, unit, n, base, adapted, change }) => {
      const show = unit === "share" ? percentText : plainNumber;
      const [difference, interval] = change === undefined ? ["", ""] : changeTexts(change);
      const verdict = change === undefined ? "" : verdictWords(change, side);
      return [`${side}: ${metric}`, String(n), show(base), adapted === undefined ? "" : show(adapted), difference, interval, verdict];
    }),
  );
}

/** Both units change in percent: points of a share, parts of a perplexity. */
function changeTexts({ difference, interval }: Change): readonly [difference: string, interval: string] {
  const show = (value: number) => signed(percentText(value));
  return [show(difference), interval === null ? "none" : `${show(interval[0])} to ${show(interval[1])}`];
}

/** A prompt, what was expected, and what came without and with the adapter. */
export function sampleText(sample: Omit<Sample, "after"> & { readonly after?: string }, paint: Paint): string {
  const line = (name: string, text: string) => `  ${paint("dim", name.padEnd(8))} ${indented(text)}`;
  const lines = [paint("bold", printable(sample.prompt.trim())), line("expected", sample.expected), line("before", sample.before)];
  if (sample.after !== undefined) lines.push(line("after", sample.after));
  return `${lines.join("\n")}\n`;
}

function indented(text: string): string {
  return printable(text.trim()).replaceAll("\n", "\n           ");
}
