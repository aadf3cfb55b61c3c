import type { DataReport, LengthStatistics, MaskedText } from "../../workflows/api.js";
import { countText, plainNumber } from "./numbers.js";
import { type Paint, printable } from "./paint.js";
import { facts } from "./table.js";

/** Longest text of one example that is printed, characters; a long document is shown by its beginning. */
const shownCharacters = 4000;

/** What a file is taken for, its examples with the learned part in colour or with their labels, and what would be left out. */
export function dataText(report: DataReport, paint: Paint): string {
  const forms = Object.entries(report.forms).map(([form, count]) => `${count} ${form}`);
  const summary = facts([
    ["file", `${report.file}: ${report.format}, ${report.rows} rows (${forms.join(", ")})`],
    ["examples", `${report.train} to learn from, ${report.heldOut} held out; ${report.prompts} different prompts`],
    ["tokens", tokensText(report)],
    ...toldFacts(report),
    ["cut", `${report.cut} of more than ${report.maxLength} tokens`],
    ["left out", `${report.droppedTooLong} too long, ${report.droppedEmpty} with nothing to learn`],
    ["repeated", `${report.duplicates} the same as an earlier one`],
    ["overlap", `${report.overlap.prompts} held-out prompts are learned from too, ${report.overlap.examples} with the same answer`],
    ["length", lengthsText(report.lengths)],
  ]);
  const samples = report.samples.map(({ file, line, tokens, segments, tells }) => {
    const told = tells === undefined ? [] : [`  ${paint("dim", "→")} ${paint("green", printable(tells))}`];
    return [`${paint("bold", `${file}:${line}`)} ${paint("dim", `${tokens} tokens`)}`, maskedText(segments, paint), ...told, ""].join("\n");
  });
  const isMasked = report.samples.some(({ tells }) => tells === undefined);
  const ending = [summary, histogramText(report.lengths), "", report.longExampleRule, ...report.notes];
  return [...samples, ...(isMasked ? [legendText(paint), ""] : []), ...ending].join("\n");
}

const legendText = (paint: Paint): string =>
  paint.hasColour
    ? `${paint("green", "Green")} is learned, the rest is read only.`
    : "What stands between ⟦ and ⟧ is learned, the rest is read only.";

/** Of a mask, how much is learned. */
function tokensText({ tokens, supervisedTokens, samples }: DataReport): string {
  if (samples.some(({ tells }) => tells !== undefined)) return `${countText(tokens)}`;
  const share = (100 * supervisedTokens) / Math.max(1, tokens);
  return `${countText(tokens)}, of which ${countText(supervisedTokens)} are learned (${plainNumber(share)} %)`;
}

/** Labels that are listed. */
const SHOWN_LABELS = 20;

function toldFacts({ labels, values, supervisedTokens }: DataReport): readonly (readonly [string, string])[] {
  if (values !== undefined)
    return [["values", `${plainNumber(values.least)} to ${plainNumber(values.most)}, mean ${plainNumber(values.mean)}`]];
  if (labels === undefined) return [];
  const shown = labels.slice(0, SHOWN_LABELS).map(({ label, count }) => {
    const share = (100 * count) / Math.max(1, supervisedTokens);
    return `${printable(label)} ${count} (${plainNumber(share)} %)`;
  });
  return [["labels", `${shown.join(", ")}${labels.length > SHOWN_LABELS ? `, and ${labels.length - SHOWN_LABELS} more` : ""}`]];
}

/** A text with its learned parts in green, or in brackets where there is no colour. */
export function maskedText(pieces: readonly MaskedText[], paint: Paint): string {
  let room = shownCharacters;
  const shown: string[] = [];
  for (const { text, supervised } of pieces) {
    if (room <= 0) break;
    const part = printable(text.slice(0, room));
    shown.push(!supervised ? paint("dim", part) : paint.hasColour ? paint("green", part) : `⟦${part}⟧`);
    room -= text.length;
  }
  return shown.join("") + (room < 0 ? " …" : "");
}

function lengthsText({ least, median, mean, percentile95, most }: LengthStatistics): string {
  return `${least} to ${most} tokens; mean ${plainNumber(mean)}, half up to ${median}, 95 of 100 up to ${percentile95}`;
}

/** A bar for each range of lengths. */
function histogramText({ histogram }: LengthStatistics): string {
  const highest = Math.max(1, ...histogram.map(({ count }) => count));
  const ranges = histogram.map(({ from, to }) => `${from + 1} to ${to}`);
  const width = Math.max(...ranges.map((range) => range.length));
  return histogram
    .map(({ count }, index) => `  ${(ranges[index] ?? "").padStart(width)}  ${"█".repeat(Math.ceil((30 * count) / highest))} ${count}`)
    .join("\n");
}
