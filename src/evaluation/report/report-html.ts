import type { TradeOffReport } from "../trade-off.js";
import { changesSection } from "./changes.js";
import { CURVE_SCRIPT } from "./curve-script.js";
import { curvesSection } from "./curves.js";
import { costSection, optionsFold, wordsFold } from "./details.js";
import { type Html, html } from "./html.js";
import { renderPage } from "./page.js";
import { REPORT_STYLE } from "./report-style.js";
import { type JudgedSample, samplesSection } from "./samples.js";

/** What the page is built with besides its data: the texts of uPlot's script and style sheet, for the chart. */
export interface ReportAssets {
  readonly uplotScript: string;
  readonly uplotStyle: string;
  /** The SHA-256 of a text as base64; with it the page's policy allows its own scripts alone (see `Page`). */
  readonly sha256?: (text: string) => string;
}

/** A trade-off report whose samples may have been judged right or wrong by the task's own measure. */
export interface PrintableReport extends TradeOffReport {
  readonly samples: readonly JudgedSample[];
}

/** Writes the report as one HTML page that needs nothing else: no other file, no network. All data in it is escaped. */
export function renderReportHtml(report: PrintableReport, { uplotScript, uplotStyle, sha256 }: ReportAssets): string {
  const named = subject(report);
  return renderPage({
    title: ["Training report", ...named.map(({ value }) => shortPath(value))].join(" · "),
    body: html`${heading(report, named)}
${changesSection(report)}
${samplesSection(report.samples)}
${curvesSection(report)}
${costSection(report)}
<section aria-labelledby="more">
<h2 id="more" class="hidden">More about this run</h2>
${optionsFold(report)}
${wordsFold(report.trained)}
</section>`,
    styles: [uplotStyle, REPORT_STYLE],
    scripts: [uplotScript, CURVE_SCRIPT],
    sha256,
  });
}

function heading({ sentence, next, trained = "adapter" }: TradeOffReport, named: readonly { name: string; value: string }[]): Html {
  return html`<header>
<p class="kicker">Lorikeet training report</p>
<h1>What the ${trained} learned, and what it cost</h1>
${lede(sentence, next)}
${
  named.length === 0
    ? undefined
    : html`<dl class="subject">${named.map(({ name, value }) => html`<div><dt>${name}</dt><dd title="${value}">${shortPath(value)}</dd></div>`)}</dl>`
}
</header>`;
}

/** The sentence; what to do next, its last part, stands on a line of its own. */
function lede(sentence: string, next: string): Html {
  const end = `; next: ${next}.`;
  if (next === "" || !sentence.endsWith(end)) return html`<p class="lede">${withCode(sentence)}</p>`;
  return html`<p class="lede">${withCode(sentence.slice(0, -end.length))}. <span class="next">${withCode(`Next: ${next}.`)}</span></p>`;
}

/** Text in which commands stand between backticks. */
function withCode(text: string): readonly (Html | string)[] {
  const parts = text.split("`");
  return parts.map((part, index) => (index % 2 === 1 && index < parts.length - 1 ? html`<code>${part}</code>` : part));
}

/** What the run was about, as far as its options say. */
function subject({ run }: TradeOffReport): readonly { name: string; value: string }[] {
  return ["model", "data", "out"].flatMap((name) => {
    const value = run[name];
    return typeof value === "string" && value !== "" ? [{ name, value }] : [];
  });
}

/** An absolute path by its last folder and name; the options of the run have it whole. Other names stay as they are. */
function shortPath(value: string): string {
  if (!/^(?:\/|[A-Za-z]:[\\/]|\\\\)/.test(value)) return value;
  return value
    .split(/[\\/]/)
    .filter((part) => part !== "")
    .slice(-2)
    .join("/");
}
