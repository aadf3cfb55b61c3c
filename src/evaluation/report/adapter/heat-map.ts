import { type Html, html } from "../html.js";

/** A field of coloured cells: rows and columns are named, a cell without a value stays empty. */
export interface HeatMap {
  /** What the picture shows, for those who cannot see it. */
  readonly label: string;
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** [row][column]. */
  readonly values: readonly (readonly (number | undefined)[])[];
  /** The value of the palest and of the fullest colour. */
  readonly range: readonly [low: number, high: number];
  readonly format: (value: number) => string;
  /** What rows and columns are, such as "block". */
  readonly columnTitle: string;
  /** Widest a cell becomes, in pixels. */
  readonly cell: number;
}

const ROW_NAME_WIDTH = 86;
const HEADER = 18;
/** The palest cell is still seen on the paper. */
const LEAST_OPACITY = 0.06;
/** Column names stand no closer than this, in pixels. */
const NAME_SPACE = 26;

/** The field as SVG; each cell tells its value to a pointer that rests on it. */
export function heatMap({ label, rows, columns, values, range, format, columnTitle, cell }: HeatMap): Html {
  const names = rows.some((name) => name !== "") ? ROW_NAME_WIDTH : 24;
  const width = names + columns.length * cell;
  const height = HEADER + rows.length * cell + HEADER;
  const every = Math.ceil(NAME_SPACE / cell);
  const bottom = HEADER + rows.length * cell;
  return html`<svg class="heat" role="img" aria-label="${label}" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
${columns.map((name, column) => (column % every === 0 ? html`<text class="tick" x="${names + (column + 0.5) * cell}" y="${bottom + 13}" text-anchor="middle">${name}</text>` : undefined))}
<text class="tick" x="${names - 6}" y="${bottom + 13}" text-anchor="end">${columnTitle}</text>
${rows.map((name, row) => {
  const y = HEADER + row * cell;
  return html`<text class="name" x="${names - 6}" y="${y + cell / 2 + 4}" text-anchor="end">${name}</text>
${columns.map((column, index) => {
  const value = values[row]?.[index];
  if (value === undefined) return undefined;
  return html`<rect x="${names + index * cell}" y="${y}" width="${cell - 1}" height="${cell - 1}" fill-opacity="${opacity(value, range)}"><title>${[name, `${columnTitle} ${column}`].filter((each) => each !== "").join(", ")}: ${format(value)}</title></rect>`;
})}
`;
})}</svg>`;
}

/** The colours of a range with its ends, as a key beside a field. */
export function colourKey([low, high]: readonly [number, number], format: (value: number) => string): Html {
  const steps = Array.from({ length: 8 }, (_, step) => low + ((high - low) * step) / 7);
  return html`<p class="colour-key small muted"><span>${format(low)}</span> <svg width="128" height="12" aria-hidden="true">${steps.map(
    (value, step) => html`<rect x="${16 * step}" y="0" width="15" height="12" fill-opacity="${opacity(value, [low, high])}"/>`,
  )}</svg> <span>${format(high)}</span></p>`;
}

function opacity(value: number, [low, high]: readonly [number, number]): string {
  const share = high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 1;
  return (LEAST_OPACITY + (1 - LEAST_OPACITY) * share).toFixed(2);
}
