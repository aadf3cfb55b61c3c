import type { ClassResults, LabelReport, LabelSample, ValueResults } from "../labels/label-report.js";
import { CURVE_SCRIPT } from "./curve-script.js";
import { curvesSection } from "./curves.js";
import { costSection, optionsFold } from "./details.js";
import { type Html, html } from "./html.js";
import { changeText, intervalText, lossText, percentText } from "./numbers.js";
import { renderPage } from "./page.js";
import type { ReportAssets } from "./report-html.js";
import { REPORT_STYLE } from "./report-style.js";

/** Characters of a row that the page shows. */
const SHOWN = 280;

/** Writes the report of a task with labels as one HTML page that needs nothing else. All data in it is escaped. */
export function renderLabelPage(report: LabelReport, { uplotScript, uplotStyle, sha256 }: ReportAssets): string {
  return renderPage({
    title: `Training report · ${String(report.run.model ?? "")}`,
    body: html`<header>
<p class="kicker">Lorikeet training report</p>
<h1>What the adapter and its head learned</h1>
<p class="lede">${report.sentence}</p>
${report.caution === undefined ? undefined : html`<p class="note">${report.caution}</p>`}
</header>
${report.results.kind === "classes" ? classSection(report.results, report.labels) : valueSection(report.results)}
${samplesSection(report.samples)}
${curvesSection({ curves: report.curves, validation: null })}
${costSection(report)}
<section aria-labelledby="more">
<h2 id="more" class="hidden">More about this run</h2>
${optionsFold(report)}
</section>`,
    styles: [uplotStyle, REPORT_STYLE],
    scripts: [uplotScript, CURVE_SCRIPT],
    sha256,
  });
}

function classSection({ accuracy, baseline, scores, confusion }: ClassResults, labels: readonly string[]): Html {
  const figures = [
    [
      "Accuracy",
      percentText(accuracy.after),
      `${changeText(accuracy.difference, "share")} (95 % interval ${intervalText(accuracy.interval)})`,
    ],
    [
      "Always saying the most frequent label",
      percentText(accuracy.before),
      `“${baseline}”; a head that was not trained says nothing, so this is the mark to beat`,
    ],
    ["Macro F1", lossText(scores.macroF1), "each label counts alike"],
    ...(scores.binaryF1 === undefined ? [] : [["F1", lossText(scores.binaryF1), `of “${labels[1] ?? ""}”`]]),
    ["Matthews correlation", lossText(scores.matthews), "0 is chance, 1 is perfect"],
  ];
  return html`<section aria-labelledby="scores">
<h2 id="scores">On ${accuracy.n} held-out labels</h2>
${figureList(figures)}
<h3>Which label was taken for which</h3>
<table>
<thead><tr><th scope="col">right label</th>${labels.map((label) => html`<th scope="col" class="number">${label}</th>`)}</tr></thead>
<tbody>
${confusion.map(
  (
    row,
    right,
  ) => html`<tr><th scope="row">${labels[right]}</th>${row.map((count, told) => html`<td class="number">${right === told ? html`<strong>${count}</strong>` : count}</td>`)}</tr>
`,
)}</tbody>
</table>
<p class="small muted">Rows are the right labels, columns what the model said.</p>
</section>`;
}

function valueSection({ n, pearson, spearman, rootMeanSquare, baselineRootMeanSquare }: ValueResults): Html {
  return html`<section aria-labelledby="scores">
<h2 id="scores">On ${n} held-out values</h2>
${figureList([
  ["Pearson correlation", lossText(pearson ?? Number.NaN), "1 is a straight line"],
  ["Spearman correlation", lossText(spearman ?? Number.NaN), "1 is the right order"],
  ["Root mean square error", lossText(rootMeanSquare), `${lossText(baselineRootMeanSquare)} if the mean were said always`],
])}
</section>`;
}

function figureList(figures: readonly (readonly string[])[]): Html {
  return html`<dl class="figures">
${figures.map(
  ([name, value, about]) => html`<div><dt>${name}</dt><dd><strong>${value}</strong><span class="small muted">${about}</span></dd></div>
`,
)}</dl>`;
}

function samplesSection(samples: readonly LabelSample[]): Html | undefined {
  if (samples.length === 0) return undefined;
  return html`<section aria-labelledby="samples">
<h2 id="samples">Some of them</h2>
<table>
<thead><tr><th scope="col">Text</th><th scope="col">Right</th><th scope="col">Said</th><th scope="col" class="number">Probability</th></tr></thead>
<tbody>
${samples.map(
  ({
    text,
    expected,
    predicted,
    probability,
  }) => html`<tr><td>${text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text}</td><td>${expected}</td><td>${predicted}</td><td class="number">${probability === undefined ? "" : percentText(probability)}</td></tr>
`,
)}</tbody>
</table>
</section>`;
}
