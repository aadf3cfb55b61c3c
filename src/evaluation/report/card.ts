import * as z from "zod";
import { bytesText, changeText, durationText, intervalText, speedText, valueText } from "./numbers.js";

const change = z.object({
  unit: z.enum(["share", "perplexity"]),
  before: z.number(),
  after: z.number(),
  interval: z.tuple([z.number(), z.number()]).nullable(),
  difference: z.number(),
  n: z.number(),
});

/** The parts of report.json that a card needs: those of every task, and the scores of a language task. */
const schema = z.object({
  sentence: z.string(),
  cost: z.object({ seconds: z.number(), tokensPerSecond: z.number(), peakBytes: z.number() }),
  run: z.record(z.string(), z.unknown()),
  target: change.extend({ metric: z.string(), caution: z.string().optional() }).optional(),
  general: z.object({ accuracy: change, perplexity: change }).optional(),
});

export type CardReport = z.infer<typeof schema>;
type CardChange = z.infer<typeof change>;

/** What a report.json says; undefined where it is none of this version's. */
export function readCardReport(text: string): CardReport | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/**
 * What a model card says of a run, in Markdown: scores, data, options and cost. Of files it tells the names and not where they lie, and
 * nothing of what is in them.
 *
 * @param options the run's, complete
 */
export function cardSections({ sentence, cost, target, general }: CardReport, options: Readonly<Record<string, unknown>>): string[] {
  const rows: [name: string, change: CardChange][] = [
    ...(target === undefined ? [] : [[`the task: ${target.metric}`, target] as [string, CardChange]]),
    ...(general === undefined
      ? []
      : [
          ["general questions: right answers", general.accuracy] as [string, CardChange],
          ["general text: perplexity", general.perplexity] as [string, CardChange],
        ]),
  ];
  return [
    "## What it gained and lost",
    "",
    oneLine(sentence),
    "",
    ...(rows.length === 0
      ? []
      : [...tableOf(rows), "", ...(target?.caution === undefined ? [] : [`Note: ${oneLine(target.caution)}.`, ""])]),
    "## How it was trained",
    "",
    `${durationText(cost.seconds)} of training, ${speedText(cost.tokensPerSecond)} tokens a second, ${bytesText(cost.peakBytes)} of memory at the peak.`,
    "",
    "| option | value |",
    "|---|---|",
    ...Object.entries(options).flatMap(([name, value]) =>
      value === undefined || value === null || name in unspoken ? [] : [optionRow(name, value)],
    ),
    "",
  ];
}

/** Options that say where files lie on one machine, or what the card says elsewhere. */
const unspoken: Readonly<Record<string, true>> = { out: true, resume: true, model: true, report: true };
const files: Readonly<Record<string, true>> = { data: true, valid: true };

function tableOf(rows: readonly (readonly [name: string, change: CardChange])[]): string[] {
  return [
    "| measured on held-out examples | n | before | after | change | 95 % interval |",
    "|---|--:|--:|--:|--:|---|",
    ...rows.map(
      ([name, { n, unit, before, after, difference, interval }]) =>
        `| ${cell(name)} | ${n} | ${valueText(before, unit)} | ${valueText(after, unit)} | ${changeText(difference, unit)} | ${intervalText(interval)} |`,
    ),
  ];
}

function optionRow(name: string, value: unknown): string {
  const text = name in files && typeof value === "string" ? (/[^\\/]*$/.exec(value)?.[0] ?? value) : value;
  return `| ${name} | ${cell(typeof text === "string" ? text : JSON.stringify(text))} |`;
}

const cell = (text: string): string => oneLine(text).replaceAll("|", "\\|");
const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();
