import type { Classified, ClassifyResult } from "../../workflows/api.js";
import { confusionText, measureText } from "./label-report.js";
import { percentText, plainNumber } from "./numbers.js";
import { type Paint, printable } from "./paint.js";

/** The label of each text; of a single one the probability of every label; and how many are right where that is known. */
export function classifyText({ rows, labels, metrics, confusion }: ClassifyResult, paint: Paint): string {
  const [only] = rows;
  const lines = rows.length === 1 && only?.kind === "label" ? allLabels(only, labels, paint) : rows.flatMap((row) => rowLines(row, paint));
  if (metrics !== undefined)
    lines.push("", ...(confusion === undefined ? [] : [confusionText(confusion, labels), ""]), measureText(metrics));
  return lines.join("\n");
}

function allLabels({ label, probabilities }: Extract<Classified, { kind: "label" }>, labels: readonly string[], paint: Paint): string[] {
  const width = Math.max(...labels.map((name) => printable(name).length));
  return labels
    .map((name, index) => ({ name, probability: probabilities[index] ?? 0 }))
    .sort((a, b) => b.probability - a.probability)
    .map(({ name, probability }) => {
      const line = `${printable(name).padEnd(width)}  ${percentText(probability)}`;
      return name === label ? paint("bold", line) : line;
    });
}

function rowLines(row: Classified, paint: Paint): string[] {
  switch (row.kind) {
    case "label":
      return [`${paint("bold", printable(row.label))}\t${percentText(row.probability)}\t${oneLine(row.text)}`];
    case "value":
      return [`${paint("bold", plainNumber(row.value))}\t${oneLine(row.text)}`];
    case "words":
      return [row.words.map(({ word, label }) => `${printable(word)}${paint("dim", `/${printable(label)}`)}`).join(" ")];
  }
}

const oneLine = (text: string): string => printable(text).replace(/\s+/g, " ").trim();
