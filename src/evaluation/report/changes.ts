import { SKILLS } from "../probe.js";
import { type Change, type TradeOffReport, verdictWords } from "../trade-off.js";
import { type Html, html } from "./html.js";
import { intervalBar } from "./interval-bar.js";
import { changeText, counted, intervalText, percentText, valueText } from "./numbers.js";

const SYMBOLS = { gain: "▲", loss: "▼", none: "≈", unknown: "?" } as const;

interface Row {
  readonly name: string;
  readonly about: string;
  readonly side: "target" | "general";
  readonly change: Change;
}

/** The table of what was gained and what it cost, and, folded, the general questions by skill. */
export function changesSection({ target, general, trained }: TradeOffReport): Html {
  const compared =
    trained === "model" ? "as it was (before) and as it was trained (after)" : "without the adapter (before) and with it (after)";
  const lower = target.unit === "perplexity" ? ", lower is better" : "";
  const rows: readonly Row[] = [
    { name: "Your task", about: `${target.metric}${lower}, ${counted(target.n, "held-out example")}`, side: "target", change: target },
    {
      name: "General questions",
      about: `right answers to ${counted(general.accuracy.n, "short question")} about other things`,
      side: "general",
      change: general.accuracy,
    },
    {
      name: "General text",
      about: `perplexity, lower is better, ${counted(general.perplexity.n, "passage")} of plain English`,
      side: "general",
      change: general.perplexity,
    },
  ];
  return html`<section aria-labelledby="changes">
<h2 id="changes">Gained and lost</h2>
<table class="changes" role="table">
<caption>The same model on the same examples, ${compared}. The bar is the range in which the true change lies with 95 % confidence; where it reaches the line in the middle, the change may be chance.</caption>
<thead role="rowgroup"><tr role="row"><th scope="col" role="columnheader">What was measured</th><th scope="col" role="columnheader">Before</th><th scope="col" role="columnheader">After</th><th scope="col" role="columnheader">Change, 95 % interval</th><th scope="col" role="columnheader">In words</th></tr></thead>
<tbody role="rowgroup">
${rows.map(changeRow)}
</tbody>
</table>
${target.caution === undefined ? undefined : html`<p class="small muted">Note: ${target.caution}.</p>`}
${skills(general.accuracy.bySkill)}
</section>`;
}

function changeRow({ name, about, side, change }: Row): Html {
  const { before, after, unit, n, difference, interval, verdict } = change;
  const value = (measured: number) =>
    html`<strong class="value">${valueText(measured, unit)}</strong>${unit === "share" && Number.isFinite(measured) ? html`<br><span class="small muted">${Math.round(measured * n)} of ${n}</span>` : undefined}`;
  return html`<tr role="row" class="${side}">
<th scope="row" role="rowheader"><strong>${name}</strong><br><span class="small muted">${about}</span></th>
<td role="cell"><span class="cell-name" aria-hidden="true">Before</span>${value(before)}</td>
<td role="cell"><span class="cell-name" aria-hidden="true">After</span>${value(after)}</td>
<td role="cell" class="change"><strong>${changeText(difference, unit)}</strong> <span class="small muted">(${intervalText(interval)})</span>${intervalBar(change)}</td>
<td role="cell" class="verdict ${verdict}"><span aria-hidden="true">${SYMBOLS[verdict]}</span> ${verdictWords(change, side)}</td>
</tr>
`;
}

function skills(bySkill: TradeOffReport["general"]["accuracy"]["bySkill"]): Html | undefined {
  const measured = SKILLS.flatMap((skill) => {
    const change = bySkill[skill];
    return change === undefined ? [] : [{ skill, ...change }];
  });
  if (measured.length === 0) return undefined;
  return html`<details>
<summary>General questions by skill</summary>
<table>
<caption>Each skill has too few questions for a verdict of its own; the table shows where a change comes from.</caption>
<thead><tr><th scope="col">Skill</th><th scope="col" class="number">Questions</th><th scope="col" class="number">Before</th><th scope="col" class="number">After</th></tr></thead>
<tbody>
${measured.map(
  ({ skill, n, before, after }) =>
    html`<tr><th scope="row">${skill}</th><td class="number">${n}</td><td class="number">${percentText(before)}</td><td class="number">${percentText(after)}</td></tr>
`,
)}</tbody>
</table>
</details>`;
}
