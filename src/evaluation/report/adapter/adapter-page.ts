import type { AdapterInspection } from "../../../lora/inspection.js";
import { type Html, html } from "../html.js";
import { counted } from "../numbers.js";
import { renderPage } from "../page.js";
import { REPORT_STYLE } from "../report-style.js";
import { changeSection, kindsOf, layersFold, plain, spectrumSection } from "./change-sections.js";
import { amplificationSection, similaritySection } from "./compared-sections.js";
import { mean } from "./grid.js";
import { ADAPTER_STYLE } from "./style.js";

/** An adapter's measures with the names that people gave. */
export interface PrintableInspection extends AdapterInspection {
  readonly directory: string;
  /** The adapter that it was compared with. */
  readonly with?: string;
  readonly notes: readonly string[];
}

/** Writes what is inside an adapter as one HTML page that needs nothing else: no script, no other file, no network. */
export function renderAdapterPage(inspection: PrintableInspection, sha256?: (text: string) => string): string {
  const { directory, layers, notes } = inspection;
  return renderPage({
    title: `Inside the adapter · ${directory}`,
    body: html`${heading(inspection)}
${notes.map((note) => html`<p class="note">${note}</p>`)}
${inspection.norm === 0 ? undefined : [changeSection(layers), spectrumSection(layers), amplificationSection(layers)]}
${similaritySection(layers, inspection.with)}
<section aria-labelledby="more">
<h2 id="more" class="hidden">More about this adapter</h2>
${layersFold(layers)}
${wordsFold()}
</section>`,
    styles: [REPORT_STYLE, ADAPTER_STYLE],
    scripts: [],
    sha256,
  });
}

function heading({ directory, baseModel, rank, alpha, layers, parameters, norm, ...rest }: PrintableInspection): Html {
  const facts: readonly (readonly [string, string])[] = [
    ["adapter", directory],
    ...(rest.with === undefined ? [] : [["compared with", rest.with] as const]),
    ["base model", baseModel ?? "not named"],
    ["rank", String(rank)],
    ["alpha", plain(alpha)],
    ["parameters", parameters.toLocaleString("en")],
  ];
  return html`<header>
<p class="kicker">Lorikeet adapter report</p>
<h1>Inside the adapter</h1>
<p class="lede">${lede(layers, norm)}</p>
<dl class="subject">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
</header>`;
}

function lede(layers: AdapterInspection["layers"], norm: number): string {
  if (norm === 0) return "This adapter changes nothing: all of its matrices B are zero, as before the first update.";
  const used = mean(layers.map(({ effectiveRank }) => effectiveRank));
  const kinds = kindsOf(layers);
  return `It changes ${counted(layers.length, "layer")} (${kinds.slice(0, 8).join(", ")}${kinds.length > 8 ? ", …" : ""}), each in about ${plain(used)} directions.`;
}

const WORDS: readonly (readonly [string, string])[] = [
  ["ΔW", "What the adapter adds to a layer's weights W: scale · B · A."],
  [
    "Direction",
    "One pattern of inputs that the change answers to, and one pattern of outputs that it answers with. A change of rank r is a sum of r of them.",
  ],
  ["Singular value", "The strength of a direction. The sum of their squares is the square of the size of ΔW."],
  [
    "Effective rank",
    "The exponential of the entropy of the singular values (Roy and Vetterli 2007): r where all are equal, 1 where one has everything.",
  ],
  ["Amplification factor", "‖ΔW‖ / ‖UᵀWV‖, U and V the directions of ΔW (Hu et al. 2021, section 7.3)."],
  [
    "φ(i, j)",
    "The similarity of the spaces of the i and j strongest directions, from 0 to 1 (Hu et al. 2021, section 7.2), here of the inputs' side of ΔW.",
  ],
];

function wordsFold(): Html {
  return html`<details>
<summary>What the words mean</summary>
<dl class="words">${WORDS.map(([word, meaning]) => html`<dt>${word}</dt><dd>${meaning}</dd>`)}</dl>
</details>`;
}
