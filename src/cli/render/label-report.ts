import type { LabelReport } from "../../workflows/api.js";
import { percentText } from "./numbers.js";
import { type Paint, printable } from "./paint.js";
import { table } from "./table.js";

/** Labels of a confusion matrix that a terminal shows; the report's page has all. */
export const SHOWN_LABELS = 12;
const SHOWN_SAMPLES = 6;
const SHOWN_CHARACTERS = 70;

/** The end of a run with labels for people: some rows, which label was taken for which, and one sentence. */
export function labelReportText({ results, labels, samples, sentence, caution }: LabelReport, paint: Paint): string {
  const lines = [
    table(
      [{ title: "text" }, { title: "right" }, { title: "said" }, { title: "probability", right: true }],
      samples
        .slice(0, SHOWN_SAMPLES)
        .map(({ text, expected, predicted, probability }) => [
          shortened(text),
          printable(expected),
          printable(predicted),
          probability === undefined ? "" : percentText(probability),
        ]),
    ),
    "",
  ];
  if (results.kind === "classes" && labels.length <= SHOWN_LABELS) lines.push(confusionText(results.confusion, labels), "");
  if (caution !== undefined) lines.push(caution);
  lines.push(paint("bold", printable(sentence)));
  return lines.join("\n");
}

const measureNames: Readonly<Record<string, string>> = {
  macroF1: "macro F1",
  matthews: "Matthews",
  pearson: "Pearson",
  spearman: "Spearman",
  meanReciprocalRank: "mean reciprocal rank",
  rootMeanSquare: "root mean square error",
};

/** Measures by name, on one line. */
export function measureText(metrics: Readonly<Record<string, number>>): string {
  return Object.entries(metrics)
    .map(([name, value]) => `${measureNames[name] ?? name} ${Number.isFinite(value) ? value.toFixed(3) : "none"}`)
    .join(", ");
}

/** Rows are the right labels, columns what was said. */
export function confusionText(confusion: readonly (readonly number[])[], labels: readonly string[]): string {
  return table(
    [{ title: "right \\ said" }, ...labels.map((label) => ({ title: printable(label), right: true }))],
    confusion.map((row, index) => [printable(labels[index] ?? ""), ...row.map(String)]),
  );
}

function shortened(text: string): string {
  const line = printable(text).replace(/\s+/g, " ").trim();
  return line.length > SHOWN_CHARACTERS ? `${line.slice(0, SHOWN_CHARACTERS - 1)}…` : line;
}
