import type { LayerInspection } from "../../../lora/inspection.js";
import { type Html, html } from "../html.js";
import { gridOf, kindOf, type LayerGrid, mean } from "./grid.js";
import { colourKey, heatMap } from "./heat-map.js";

/** Widest and narrowest a cell is, and what the cells of a deep model share, in pixels: more than a screen is wide scrolls. */
const CELL = { most: 22, least: 12, together: 860 };
/** Directions of which a spectrum shows bars. */
const SHOWN_DIRECTIONS = 64;

export const plain = (value: number): string => (value === 0 ? "0" : String(Number(value.toPrecision(3))));

/** One value of each layer, by kind and block. */
export function layerMap(grid: LayerGrid, label: string, measure: (layer: LayerInspection) => number | undefined): Html {
  const value = (layer: LayerInspection | undefined) => (layer === undefined ? undefined : measure(layer));
  const rows = grid.kinds.filter((kind) => grid.blocks.some((block) => value(grid.at(kind, block)) !== undefined));
  if (rows.length === 0) return html`<p class="muted">No layer of a block has this number.</p>`;
  const values = rows.map((kind) => grid.blocks.map((block) => value(grid.at(kind, block))));
  const cell = Math.max(CELL.least, Math.min(CELL.most, Math.floor(CELL.together / grid.blocks.length)));
  const range = [0, Math.max(...values.flat().map((each) => each ?? 0))] as const;
  return html`<div class="wide">${heatMap({ label, rows, columns: grid.blocks.map(String), values, range, format: plain, columnTitle: "block", cell })}</div>
${colourKey(range, plain)}`;
}

/** Where the model changed, by the size of each ΔW. */
export function changeSection(layers: readonly LayerInspection[]): Html {
  const grid = gridOf(layers);
  const relative = layers.every(({ amplification }) => amplification !== undefined);
  const size = ({ norm, amplification }: LayerInspection) => (relative ? norm / (amplification?.weightNorm ?? Number.NaN) : norm);
  const order = [...layers].sort((a, b) => size(b) - size(a));
  const [most, least] = [order[0], order.at(-1)];
  const what = relative
    ? "the size of the change as a share of the size of the layer's own weights"
    : "the size of the change, the length of ΔW";
  return html`<section aria-labelledby="where">
<h2 id="where">Where the model changed</h2>
<p class="muted small">Each cell is one layer: rows say which kind, columns the block, from the first that a text passes (left) to the last. The fuller the colour, the larger ${what}.</p>
${layerMap(grid, `Size of the change by layer: ${what}.`, size)}
${
  most === undefined || least === undefined
    ? undefined
    : html`<p class="reading">The largest change is at <code>${most.name}</code> (${plain(size(most))}), the smallest at <code>${least.name}</code> (${plain(size(least))}). ${kindWords(grid, size)}</p>`
}
<p class="reading muted small">A large change is not a better one: it says where training pushed. Layers that hardly changed could be left out (<code>--layers</code>, <code>--blocks</code>) at little loss.</p>
</section>`;
}

/** Kinds in the order of their mean. */
function kindWords(grid: LayerGrid, size: (layer: LayerInspection) => number): string {
  if (grid.kinds.length < 2) return "";
  const means = grid.kinds.map((kind) => ({ kind, size: mean(grid.of(kind).map(size)) })).sort((a, b) => b.size - a.size);
  const [first, last] = [means[0], means.at(-1)];
  if (first === undefined || last === undefined) return "";
  return `By kind, ${first.kind} changed most on average (${plain(first.size)}) and ${last.kind} least (${plain(last.size)}).`;
}

/** How many directions each change uses, and how strong they are. */
export function spectrumSection(layers: readonly LayerInspection[]): Html {
  const grid = gridOf(layers);
  const used = mean(layers.map(({ effectiveRank }) => effectiveRank));
  const given = mean(layers.map(({ rank }) => rank));
  return html`<section aria-labelledby="spectrum">
<h2 id="spectrum">How many directions are in use</h2>
<p class="muted small">An adapter of rank r can change a layer in r directions. The bars show how strong they are in the mean over a kind's layers, the strongest as 1. The effective rank counts directions by their strength: equal bars count fully, short ones hardly.</p>
<div class="multiples">
${grid.kinds.map((kind) => spectrum(kind, grid.of(kind)))}
</div>
<p class="reading">${usedWords(used, given)}</p>
${layerMap(grid, "Effective rank of each layer.", ({ effectiveRank }) => effectiveRank)}
<p class="muted small">Effective rank by layer.</p>
</section>`;
}

function usedWords(used: number, given: number): string {
  const share = used / given;
  const figures = `On average a layer uses ${plain(used)} of the ${plain(given)} directions that its rank gives it.`;
  if (share > 0.75)
    return `${figures} Nearly all are in use: a higher rank might have learned more, if the validation loss was still falling.`;
  if (share < 0.35) return `${figures} Most stay weak: a lower rank would very likely have done, in a smaller file.`;
  return `${figures} The strongest carry much of the change, and none is idle; a rank somewhat lower would lose little.`;
}

function spectrum(kind: string, layers: readonly LayerInspection[]): Html {
  const longest = Math.min(SHOWN_DIRECTIONS, Math.max(...layers.map(({ singularValues }) => singularValues.length)));
  const heights = Array.from({ length: longest }, (_, index) =>
    mean(layers.map(({ singularValues }) => (singularValues[index] ?? 0) / (singularValues[0] || 1))),
  );
  const effective = mean(layers.map(({ effectiveRank }) => effectiveRank));
  const bar = 100 / longest;
  return html`<div>
<h3>${kind}</h3>
<p>effective rank ${plain(effective)} of ${plain(mean(layers.map(({ rank }) => rank)))}</p>
<svg class="bars" viewBox="0 0 100 92" preserveAspectRatio="none" role="img" aria-label="${`Strength of the directions of ${kind}, strongest first: ${heights
    .slice(0, 8)
    .map((height) => height.toFixed(2))
    .join(", ")}${longest > 8 ? ", …" : ""}`}">
<line x1="0" x2="100" y1="91" y2="91"/>
${heights.map((height, index) => html`<rect x="${(bar * (index + 0.1)).toFixed(2)}" y="${(90 - 88 * height).toFixed(2)}" width="${(bar * 0.8).toFixed(2)}" height="${(88 * height).toFixed(2)}"><title>direction ${index + 1}: ${height.toFixed(3)}</title></rect>`)}
</svg>
</div>`;
}

/** The numbers of every layer, folded. */
export function layersFold(layers: readonly LayerInspection[]): Html {
  const amplified = layers.some(({ amplification }) => amplification !== undefined);
  return html`<details>
<summary>Every layer as a table</summary>
<div class="wide">
<table class="layers">
<thead><tr><th scope="col">Layer</th><th scope="col" class="number">Rank</th><th scope="col" class="number">Size of ΔW</th><th scope="col" class="number">Effective rank</th>${amplified ? html`<th scope="col" class="number">Amplification</th>` : undefined}<th scope="col">Largest singular values</th></tr></thead>
<tbody>
${layers.map(
  (
    layer,
  ) => html`<tr><th scope="row">${layer.name}</th><td class="number">${layer.rank}</td><td class="number">${plain(layer.norm)}</td><td class="number">${plain(layer.effectiveRank)}</td>${amplified ? html`<td class="number">${layer.amplification?.factor === undefined ? "–" : plain(layer.amplification.factor)}</td>` : undefined}<td>${layer.singularValues.slice(0, 4).map(plain).join(" ")}${layer.singularValues.length > 4 ? " …" : ""}</td></tr>
`,
)}</tbody>
</table>
</div>
</details>`;
}

export const kindsOf = (layers: readonly LayerInspection[]): readonly string[] => [...new Set(layers.map(({ name }) => kindOf(name)))];
