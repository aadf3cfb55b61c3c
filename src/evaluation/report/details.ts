import type { Trained } from "../advice.js";
import type { TradeOffReport } from "../trade-off.js";
import { type Html, html } from "./html.js";
import { bytesText, durationText, speedText } from "./numbers.js";

/** What the training took. */
export function costSection({ cost }: Pick<TradeOffReport, "cost">): Html {
  const figures = [
    ["Training time", durationText(cost.seconds), "measuring before and after not counted"],
    ["Speed", `${speedText(cost.tokensPerSecond)} tokens/s`, "a token is about three quarters of an English word"],
    ["Peak memory", bytesText(cost.peakBytes), "the most held at any moment"],
  ] as const;
  return html`<section aria-labelledby="cost">
<h2 id="cost">What it took</h2>
<dl class="figures">
${figures.map(
  ([name, value, about]) => html`<div><dt>${name}</dt><dd><strong>${value}</strong><span class="small muted">${about}</span></dd></div>
`,
)}</dl>
</section>`;
}

/** The options of the run, folded, so that it can be repeated. */
export function optionsFold({ run }: Pick<TradeOffReport, "run">): Html | undefined {
  const options = Object.entries(run).filter(([, value]) => value !== undefined && value !== null);
  if (options.length === 0) return undefined;
  return html`<details>
<summary>Options of this run</summary>
<table class="options">
<caption>What to set to repeat it.</caption>
<thead><tr><th scope="col">Option</th><th scope="col">Value</th></tr></thead>
<tbody>
${options.map(
  ([name, value]) => html`<tr><th scope="row"><code>${name}</code></th><td class="mono">${optionText(value)}</td></tr>
`,
)}</tbody>
</table>
</details>`;
}

function optionText(value: unknown): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.every((each) => typeof each !== "object")) return value.join(", ");
  return JSON.stringify(value) ?? String(value);
}

/** What was trained, and how it is compared. */
const TRAINED: Readonly<Record<Trained, readonly (readonly [string, string])[]>> = {
  adapter: [
    ["Adapter", "Two small matrices beside each layer of the model. Training changes them alone; switched off, the model is what it was."],
    ["Before and after", "The same model on the same examples with the adapter off and on. Nothing else differs."],
  ],
  model: [
    [
      "Full fine-tuning",
      "Every weight of the model is trained, and a model of its own is written; the one that it came from stays as it was.",
    ],
    ["Before and after", "The model that training began with and the one that it made, on the same examples. Nothing else differs."],
  ],
};

const WORDS = [
  ["Held-out", "Kept away from training. Only on such examples does a score show that something was learned and not memorised."],
  [
    "Loss",
    "How surprised the model is, on average, by each next token of the right answer, in nats. 0 is no surprise; 0.7 is the surprise of a coin toss. Lower is better.",
  ],
  [
    "Training and validation loss",
    "The loss on the examples being learned, and on held-out ones. When the first falls while the second rises, the model learns its examples by heart.",
  ],
  [
    "Perplexity",
    "The loss in other words (e to its power): among how many equally likely tokens the model seems to choose. 1 is certainty. Lower is better.",
  ],
  ["Points", "The difference of two percentages: from 3 % to 82 % is 79 points."],
  [
    "95 % interval",
    "Examples are a sample, and another sample would give other numbers. The interval is where the true change lies, in 95 of 100 such measurements. If it holds zero, the change may be chance: no measurable loss, no measurable change.",
  ],
  [
    "Smoothed",
    "Each step sees other examples, so its loss jumps. The smoothed line is the mean of neighbouring steps, in which the trend shows.",
  ],
] as const;

export function wordsFold(trained: Trained = "adapter"): Html {
  return html`<details>
<summary>What these words mean</summary>
<dl class="words">
${[...TRAINED[trained], ...WORDS].map(
  ([word, meaning]) => html`<dt>${word}</dt><dd>${meaning}</dd>
`,
)}</dl>
</details>`;
}
