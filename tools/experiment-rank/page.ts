import type { PairedDifference } from "../../src/evaluation/statistics.js";
import { type Chart, drawChart, type Series } from "./chart.js";
import { type Choice, choices } from "./choices.js";
import type { RunResult } from "./results.js";
import { basePerplexity, type ChoiceSummary, difference, lossOf, summarise } from "./summary.js";

/** The choice that others are compared with: the paper's own, W_q and W_v at rank 4. */
const REFERENCE = "qv-r4";
const COLOURS = { rank: "#2f7d4f", layers: "#8a5a00", full: "#7a3b8f", seed: "#8a8f98" } as const;

type Row = { readonly choice: Choice; readonly summary: ChoiceSummary };

/** The tables as Markdown and the figures as SVG, by file name, of the runs that have ended. */
export function writePage(results: readonly RunResult[]): Map<string, string> {
  const base = results.find(({ stage }) => stage === "base");
  const rows = choices.flatMap((choice): Row[] => {
    const summary = summarise(choice.id, results);
    return summary === undefined ? [] : [{ choice, summary }];
  });
  if (base === undefined || rows.length === 0) return new Map([["tables.md", "No run has ended yet.\n"]]);
  const of = (question: Choice["question"]) => rows.filter(({ choice }) => choice.question === question);
  const byRank = of("rank").sort((a, b) => (a.choice.rank ?? 0) - (b.choice.rank ?? 0));
  const byLayers = of("layers").sort((a, b) => a.summary.mean - b.summary.mean);
  const words = [
    `Without training: validation loss ${lossOf(base).toFixed(3)}, perplexity of general text ${basePerplexity(base).toFixed(2)}.`,
    `## By rank\n\n${table(byRank, results)}`,
    `## By layers\n\n${table(byLayers, results)}`,
    ...(of("full").length === 0 ? [] : [`## Full fine-tuning\n\n${table(of("full"), results)}`]),
    `## Learning rates\n\n${pilotTable(results)}`,
  ];
  const figures: [string, Chart][] = [
    ["rank.svg", rankChart(byRank, of("full"))],
    ["layers.svg", layersChart(byLayers)],
    ["trade-off.svg", tradeOffChart(byRank, byLayers, of("full"))],
  ];
  const drawn = figures.filter(([, { series }]) => series.some(({ points }) => points.length > 0));
  return new Map([["tables.md", `${words.join("\n\n")}\n`], ...drawn.map(([name, chart]) => [name, drawChart(chart)] as const)]);
}

function table(rows: readonly Row[], results: readonly RunResult[]): string {
  const seeds = [...new Set(rows.flatMap(({ summary }) => [...summary.seeds.keys()]))].sort((a, b) => a - b);
  const head = [
    "choice",
    "parameters",
    ...seeds.map((seed) => `seed ${seed}`),
    "mean",
    `minus ${REFERENCE}`,
    "general text, change of loss",
    `the same minus ${REFERENCE}`,
    "questions",
  ];
  const lines = rows.map(({ choice, summary }) => [
    choice.label,
    summary.parameters.toLocaleString("en"),
    ...seeds.map((seed) => summary.seeds.get(seed)?.toFixed(3) ?? "–"),
    summary.mean.toFixed(3),
    choice.id === REFERENCE ? "–" : interval(difference(REFERENCE, choice.id, results)),
    interval(summary.general),
    choice.id === REFERENCE ? "–" : interval(difference(REFERENCE, choice.id, results, "general")),
    `${summary.right.toFixed(1)} of ${summary.questions}`,
  ]);
  return markdown(head, lines);
}

function pilotTable(results: readonly RunResult[]): string {
  const pilot = results.filter(({ stage }) => stage === "pilot");
  return markdown(
    ["choice", "learning rate", "loss"],
    pilot.map((run) => [run.id, String(run.lr), lossOf(run).toFixed(3)]),
  );
}

const markdown = (head: readonly string[], lines: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

const signed = (value: number): string => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;

function interval(found: PairedDifference | undefined): string {
  if (found === undefined) return "–";
  const ends = found.interval === null ? "" : ` [${found.interval.map(signed).join(", ")}]`;
  return `${signed(found.difference)}${ends}`;
}

function rankChart(rows: readonly Row[], full: readonly Row[]): Chart {
  const at = ({ choice }: Row) => Math.log2(choice.rank ?? 1);
  return {
    title: "Validation loss on E2E NLG by rank, at q and v",
    xTitle: "rank, on a logarithmic scale",
    yTitle: "nats a token",
    xNames: rows.map((row) => ({ at: at(row), name: String(row.choice.rank) })),
    series: [
      { name: "mean", colour: COLOURS.rank, joined: true, points: rows.map((row) => ({ x: at(row), y: row.summary.mean })) },
      seedsOf(rows, at),
    ],
    levels: full.map(({ summary }) => ({ y: summary.mean, name: "full fine-tuning" })),
  };
}

function layersChart(rows: readonly Row[]): Chart {
  const at = (row: Row) => rows.indexOf(row);
  return {
    title: "Validation loss on E2E NLG by layers, at one number of parameters",
    xTitle: "layers and their ranks",
    yTitle: "nats a token",
    xNames: rows.map((row) => ({ at: at(row), name: row.choice.id })),
    series: [{ name: "mean", colour: COLOURS.layers, points: rows.map((row) => ({ x: at(row), y: row.summary.mean })) }, seedsOf(rows, at)],
  };
}

const seedsOf = (rows: readonly Row[], at: (row: Row) => number): Series => ({
  name: "one seed",
  colour: COLOURS.seed,
  small: true,
  points: rows.flatMap((row) => [...row.summary.seeds.values()].map((y) => ({ x: at(row), y }))),
});

/** What is learned to the left, what is lost elsewhere upwards. */
function tradeOffChart(byRank: readonly Row[], byLayers: readonly Row[], full: readonly Row[]): Chart {
  const points = (rows: readonly Row[]) =>
    rows.map(({ choice, summary }) => ({
      x: summary.mean,
      y: summary.general.difference,
      label: choice.rank === undefined ? choice.id : `r ${choice.rank}`,
    }));
  return {
    title: "What is learned, and what it costs elsewhere",
    xTitle: "validation loss on E2E NLG, nats a token (left is better)",
    yTitle: "change of the loss of general text (down is better)",
    series: [
      { name: "by rank, q and v", colour: COLOURS.rank, joined: true, points: points(byRank) },
      { name: "by layers", colour: COLOURS.layers, points: points(byLayers) },
      ...(full.length === 0 ? [] : [{ name: "full fine-tuning", colour: COLOURS.full, points: points(full) }]),
    ],
  };
}
