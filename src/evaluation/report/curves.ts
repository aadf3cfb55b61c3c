import type { TradeOffReport } from "../trade-off.js";
import { type CurveColumns, curveColumns, curveWords, tableRows } from "./curve-data.js";
import { embedJson, type Html, html } from "./html.js";
import { lossText } from "./numbers.js";

const MOST_TABLE_ROWS = 20;

/** The losses during training: a chart that curve-script.ts draws from the numbers beside it, its words, and, folded, a table. */
export function curvesSection({ curves, validation }: Pick<TradeOffReport, "curves" | "validation">): Html {
  const columns = curveColumns(curves);
  const words = curveWords(columns);
  return html`<section aria-labelledby="curves">
<h2 id="curves">How the training went</h2>
${words === undefined ? html`<p class="muted">No losses were recorded in this run.</p>` : chart(columns, words)}
${validation === null ? undefined : html`<p class="note">${validation}</p>`}
${words === undefined ? undefined : numbers(columns)}
</section>`;
}

function chart(columns: CurveColumns, words: string): Html {
  const has = (column: readonly (number | null)[]) => column.some((value) => value !== null);
  const smooth = has(columns.smoothed);
  return html`<figure class="curves">
<div class="key">
${has(columns.training) ? keyEntry(smooth ? "raw" : "training", "training loss of each step") : undefined}
${smooth ? keyEntry("training", "training loss, smoothed") : undefined}
${has(columns.validation) ? keyEntry("validation", "validation loss, on held-out examples") : undefined}
</div>
<div id="curve-chart" role="img" aria-label="${`Chart of the losses. ${words}`}"></div>
<p id="curve-readout" class="small muted" aria-hidden="true"></p>
<noscript><p class="muted">The chart needs JavaScript; the table below has its numbers.</p></noscript>
<figcaption>${words} Lower is better.</figcaption>
<script type="application/json" id="curve-data">${embedJson(columns)}</script>
</figure>`;
}

function keyEntry(kind: "raw" | "training" | "validation", words: string): Html {
  const mark = kind === "validation" ? html`<circle class="${kind}" cx="14" cy="6" r="3"/>` : undefined;
  return html`<span><svg width="28" height="12" aria-hidden="true"><line class="${kind}" x1="0" x2="28" y1="6" y2="6"/>${mark}</svg> ${words}</span>
`;
}

function numbers(columns: CurveColumns): Html {
  const { steps, training, smoothed, validation } = columns;
  const cell = (value: number | null | undefined) => html`<td class="number">${lossText(value ?? Number.NaN)}</td>`;
  return html`<details>
<summary>The losses as a table</summary>
<table>
<thead><tr><th scope="col">Step</th><th scope="col" class="number">Training</th><th scope="col" class="number">Smoothed</th><th scope="col" class="number">Validation</th></tr></thead>
<tbody>
${tableRows(columns, MOST_TABLE_ROWS).map(
  (row) => html`<tr><th scope="row">${steps[row]}</th>${cell(training[row])}${cell(smoothed[row])}${cell(validation[row])}</tr>
`,
)}</tbody>
</table>
</details>`;
}
