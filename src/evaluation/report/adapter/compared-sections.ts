import type { LayerInspection } from "../../../lora/inspection.js";
import { type Html, html } from "../html.js";
import { percentText } from "../numbers.js";
import { layerMap, plain } from "./change-sections.js";
import { gridOf, mean, median } from "./grid.js";
import { colourKey, heatMap } from "./heat-map.js";

/** Directions of either side in a heat map. */
const SHOWN = 16;
const CELL = 13;

/** What the change does beside the frozen weight; nothing where the model was not at hand. */
export function amplificationSection(layers: readonly LayerInspection[]): Html | undefined {
  const measured = layers.flatMap(({ amplification }) =>
    amplification?.factor === undefined ? [] : [{ ...amplification, factor: amplification.factor }],
  );
  if (measured.length === 0) return undefined;
  const factor = median(measured.map((each) => each.factor));
  const overChance = median(measured.map(({ projection, byChance }) => projection / byChance));
  return html`<section aria-labelledby="amplification">
<h2 id="amplification">What it does to the model's own weights</h2>
<p class="muted small">The amplification factor (section 7.3 of the LoRA paper): how many times as strong the change is, in its own directions, as what the weight W did in these directions before. Each cell is one layer.</p>
${layerMap(gridOf(layers), "Amplification factor of each layer.", ({ amplification }) => amplification?.factor)}
<p class="reading">${factorWords(factor)} ${chanceWords(overChance)}</p>
</section>`;
}

function factorWords(factor: number): string {
  const middle = `In the middle layer the factor is ${plain(factor)}.`;
  const paper = "The paper found 21.5 at rank 4 in GPT-3.";
  if (factor >= 2)
    return `${middle} Where the change acts, it is far stronger than the weights were: directions that were weak in the model are turned up. ${paper}`;
  if (factor >= 0.5)
    return `${middle} Where the change acts, it is about as strong as the weights were: these directions were changed for good. ${paper}`;
  return `${middle} Even in its own directions the change is smaller than what was there: training bent these directions and did not replace them. ${paper}`;
}

function chanceWords(ratio: number): string {
  if (ratio > 1.5)
    return `The directions are none by chance: the model's weights are ${plain(ratio)} times as strong in them as in directions drawn at random, so the adapter builds on what the model knows.`;
  if (ratio < 0.67)
    return `The model's weights are weaker in these directions than in ones drawn at random (${plain(ratio)} times as strong): what is added is new to the layer.`;
  return `The model's weights are about as strong in these directions as in ones drawn at random (${plain(ratio)} times).`;
}

/** How far two adapters, or two ranks, changed the same directions; nothing without another adapter. */
export function similaritySection(layers: readonly LayerInspection[], other: string | undefined): Html | undefined {
  const compared = layers.filter(({ similarity }) => (similarity?.values[0]?.length ?? 0) > 0);
  if (other === undefined) return undefined;
  if (compared.length === 0)
    return html`<section aria-labelledby="similarity">
<h2 id="similarity">The same directions?</h2>
<p>No layer that both adapters change was found in <code>${other}</code>.</p>
</section>`;
  const grid = gridOf(compared);
  const first = mean(compared.map((layer) => phi(layer, 1, 1)));
  const whole = mean(compared.map((layer) => phi(layer, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)));
  const chance = mean(
    compared.map(
      ({ similarity }) => Math.max(similarity?.values.length ?? 0, similarity?.values[0]?.length ?? 0) / (similarity?.inputs ?? 1),
    ),
  );
  return html`<section aria-labelledby="similarity">
<h2 id="similarity">The same directions?</h2>
<p class="muted small">Compared with <code>${other}</code>. A cell at (i, j) says how far the i strongest input directions of this adapter and the j strongest of the other lie in one another: full colour is wholly, no colour not at all (φ of section 7.2 of the LoRA paper, in the mean over a kind's layers). i runs downwards, j to the right.</p>
<div class="multiples">
${grid.kinds.map((kind) => similarityMap(kind, grid.of(kind)))}
</div>
${colourKey([0, 1], plain)}
<p class="reading">${similarityWords(first, whole, chance)}</p>
</section>`;
}

function phi({ similarity }: LayerInspection, i: number, j: number): number {
  const values = similarity?.values ?? [];
  const row = values[Math.min(i, values.length) - 1] ?? [];
  return row[Math.min(j, row.length) - 1] ?? 0;
}

function similarityMap(kind: string, layers: readonly LayerInspection[]): Html {
  const rows = Math.min(SHOWN, Math.max(...layers.map(({ similarity }) => similarity?.values.length ?? 0)));
  const columns = Math.min(SHOWN, Math.max(...layers.map(({ similarity }) => similarity?.values[0]?.length ?? 0)));
  const count = (length: number) => Array.from({ length }, (_, index) => index + 1);
  const values = count(rows).map((i) => count(columns).map((j) => mean(layers.map((layer) => phi(layer, i, j)))));
  return html`<div>
<h3>${kind}</h3>
<p>strongest directions ${percentText(values[0]?.[0] ?? 0)} alike</p>
${heatMap({
  label: `Similarity of the directions of ${kind}: ${percentText(values[0]?.[0] ?? 0)} for the strongest of each, ${percentText(values.at(-1)?.at(-1) ?? 0)} for all.`,
  rows: count(rows).map(() => ""),
  columns: count(columns).map(String),
  values,
  range: [0, 1],
  format: (value) => value.toFixed(2),
  columnTitle: "j",
  cell: CELL,
})}
</div>`;
}

function similarityWords(first: number, whole: number, chance: number): string {
  const figures = `In the mean over all layers the strongest direction of each is ${percentText(first)} that of the other, all directions together ${percentText(whole)}; directions drawn at random would be ${percentText(chance)}.`;
  if (whole < 2 * chance && first < 2 * chance)
    return `${figures} The two have nothing in common: they learned different things, or their starts decided what they learned.`;
  if (first > 0.6 && whole > 0.6) return `${figures} The two changed nearly the same directions.`;
  if (first > whole)
    return `${figures} The strongest directions agree more than the rest: as in the paper, they are what both learned, and the others are mostly chance. A lower rank would keep what matters.`;
  return `${figures} They agree about as much in weak directions as in strong ones; two ranks from one seed share much of their start.`;
}
