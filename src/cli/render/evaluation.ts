import type { Comparison, EvaluationResult } from "../../workflows/api.js";
import { percentText, plainNumber, signed } from "./numbers.js";
import { type Paint, printable } from "./paint.js";
import { table } from "./table.js";

const shares: readonly Comparison["metric"][] = ["exact match", "general accuracy"];

/** Model and adapter side by side, some answers, and one sentence. */
export function evaluationText(result: EvaluationResult, paint: Paint): string {
  const compares = result.adapter !== undefined;
  const columns = [{ title: "measure" }, { title: "examples", right: true }, { title: "model", right: true }];
  if (compares) columns.push({ title: "with adapter", right: true }, { title: "difference", right: true }, { title: "95 % interval" });
  const rows = result.comparisons.map((each) => {
    const show = shares.includes(each.metric) ? percentText : plainNumber;
    return [
      each.metric,
      String(each.n),
      show(each.base),
      each.adapted === undefined ? "" : show(each.adapted),
      each.difference === undefined ? "" : signed(show(each.difference)),
      each.interval === undefined ? "" : intervalText(each.interval, show),
    ];
  });
  return [...result.samples.map((sample) => answerText(sample, paint)), table(columns, rows), "", result.sentence].join("\n");
}

/** "+1 % to +5 %", or that nothing was measured where the interval covers zero. */
export function intervalText([low, high]: readonly [number, number], show: (value: number) => string): string {
  const text = `${signed(show(low))} to ${signed(show(high))}`;
  return low <= 0 && high >= 0 ? `${text}: no measurable difference` : text;
}

/** A prompt, what was expected, and what came without and with the adapter. */
export function answerText(sample: { prompt: string; expected: string; base: string; adapted?: string }, paint: Paint): string {
  const line = (name: string, text: string) => `  ${paint("dim", name.padEnd(8))} ${indented(text)}`;
  const lines = [paint("bold", indented(sample.prompt)), line("expected", sample.expected), line("before", sample.base)];
  if (sample.adapted !== undefined) lines.push(line("after", sample.adapted));
  return `${lines.join("\n")}\n`;
}

function indented(text: string): string {
  return printable(text.trim()).replaceAll("\n", "\n           ");
}
