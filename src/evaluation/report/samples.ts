import { exactMatch } from "../exact-match.js";
import type { Sample } from "../trade-off.js";
import { type Html, html } from "./html.js";
import { counted } from "./numbers.js";

/** A sample whose answers were judged by the task's own measure, which may accept more than one spelling. */
export interface JudgedSample extends Sample {
  readonly right?: { readonly before: boolean; readonly after: boolean };
}

/** Texts longer than this, in characters or lines, scroll in a box of their own. */
const LONG = { characters: 700, lines: 14 };

/** Held-out prompts: what was expected, and what the model said before and after, side by side. */
export function samplesSection(samples: readonly JudgedSample[]): Html | undefined {
  if (samples.length === 0) return undefined;
  return html`<section aria-labelledby="samples">
<h2 id="samples">What the model says now</h2>
<p class="muted small">${counted(samples.length, "held-out example")}: prompts the training never saw.</p>
${samples.map(sampleArticle)}
</section>`;
}

function sampleArticle(sample: JudgedSample, index: number): Html {
  const name = `Prompt ${index + 1}`;
  return html`<article class="sample" aria-labelledby="sample-${index + 1}">
<h3 id="sample-${index + 1}">${name}</h3>
<div class="prompt">${quoted(sample.prompt, name)}</div>
<div class="answers">
<div><h4>Expected</h4>${quoted(sample.expected, `${name}, expected answer`)}</div>
<div><h4>Before ${judgement(sample, "before")}</h4>${quoted(sample.before, `${name}, answer before`)}</div>
<div><h4>After ${judgement(sample, "after")}</h4>${quoted(sample.after, `${name}, answer after`)}</div>
</div>
</article>
`;
}

/** Right or wrong where the task judged; otherwise only whether the texts are equal, for another text may be right as well. */
function judgement(sample: JudgedSample, side: "before" | "after"): Html {
  const same = exactMatch(sample.expected, sample[side], "whitespace");
  const right = sample.right?.[side];
  const words = right === undefined ? (same ? "as expected" : "not as expected") : right ? "right" : "wrong";
  const good = right ?? same;
  return html`<span class="tag ${good ? "gain" : "loss"}"><span aria-hidden="true">${good ? "✓" : "✗"}</span> ${words}</span>`;
}

/** A line break right after `<pre>` is dropped by HTML, so that the text's own first one stays. */
function quoted(text: string, name: string): Html {
  if (text.trim() === "") return html`<p class="muted"><em>(empty)</em></p>`;
  const long = text.length > LONG.characters || text.split("\n").length > LONG.lines;
  return long
    ? html`<pre class="long" dir="auto" tabindex="0" role="region" aria-label="${name}">\n${text}</pre>`
    : html`<pre dir="auto">\n${text}</pre>`;
}
