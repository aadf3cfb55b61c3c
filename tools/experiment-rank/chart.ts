// Plain SVG pictures: points, lines and their words.

const WIDTH = 720;
const HEIGHT = 400;
const MARGIN = { left: 70, right: 24, top: 44, bottom: 56 };
const TICKS = 5;

export interface Point {
  readonly x: number;
  readonly y: number;
  readonly label?: string;
}

export interface Series {
  readonly name: string;
  readonly colour: string;
  readonly points: readonly Point[];
  /** Joined in the order given. */
  readonly joined?: boolean;
  readonly small?: boolean;
}

export interface Chart {
  readonly title: string;
  readonly xTitle: string;
  readonly yTitle: string;
  readonly series: readonly Series[];
  /** Values along x that are named; numbers are spread evenly without. */
  readonly xNames?: readonly { readonly at: number; readonly name: string }[];
  /** Levels that go right through. */
  readonly levels?: readonly { readonly y: number; readonly name: string }[];
}

/** A chart as a self-contained SVG file. */
export function drawChart({ title, xTitle, yTitle, series, xNames, levels = [] }: Chart): string {
  const points = series.flatMap((each) => each.points);
  const x = scale(
    points.map((point) => point.x),
    MARGIN.left,
    WIDTH - MARGIN.right,
  );
  const y = scale([...points.map((point) => point.y), ...levels.map((level) => level.y)], HEIGHT - MARGIN.bottom, MARGIN.top);
  const bottom = HEIGHT - MARGIN.bottom;
  const parts = [
    text(WIDTH / 2, 20, title, 'text-anchor="middle" font-weight="bold"'),
    text((MARGIN.left + WIDTH - MARGIN.right) / 2, HEIGHT - 12, xTitle, 'text-anchor="middle"'),
    `<g transform="translate(16 ${(MARGIN.top + bottom) / 2}) rotate(-90)">${text(0, 0, yTitle, 'text-anchor="middle"')}</g>`,
    ...y.ticks.map(
      (value) =>
        `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${y.at(value)}" y2="${y.at(value)}" stroke="#e3e3e0"/>` +
        text(MARGIN.left - 8, y.at(value) + 4, shown(value, y.step), 'text-anchor="end"'),
    ),
    ...(xNames ?? x.ticks.map((value) => ({ at: value, name: shown(value, x.step) }))).map(({ at, name }) =>
      text(x.at(at), bottom + 18, name, 'text-anchor="middle"'),
    ),
    `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${bottom}" y2="${bottom}" stroke="#6b6b68"/>`,
    ...levels.map(
      ({ y: level, name }) =>
        `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${y.at(level)}" y2="${y.at(level)}" stroke="#6b6b68" stroke-dasharray="6 4"/>` +
        text(WIDTH - MARGIN.right - 4, y.at(level) - 5, name, 'text-anchor="end" fill="#6b6b68"'),
    ),
    ...series.flatMap((each) => drawnSeries(each, x.at, y.at)),
    ...legend(series),
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12" fill="#1c1c1c">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

type Place = (value: number) => number;

function drawnSeries({ points, colour, joined, small }: Series, x: Place, y: Place): string[] {
  const line = points.map((point) => `${x(point.x)},${y(point.y)}`).join(" ");
  return [
    ...(joined ? [`<polyline points="${line}" fill="none" stroke="${colour}" stroke-width="2"/>`] : []),
    ...points.map(
      (point) =>
        `<circle cx="${x(point.x)}" cy="${y(point.y)}" r="${small ? 3 : 5}" fill="${colour}"${small ? ' opacity="0.6"' : ""}/>` +
        labelOf(point, x(point.x), y(point.y)),
    ),
  ];
}

/** Beside its point, on the side where there is room. */
function labelOf({ label }: Point, x: number, y: number): string {
  if (label === undefined) return "";
  return x > WIDTH - 140 ? text(x - 8, y - 6, label, 'font-size="11" text-anchor="end"') : text(x + 8, y - 6, label, 'font-size="11"');
}

function legend(series: readonly Series[]): string[] {
  let left = MARGIN.left;
  return series
    .filter(({ points }) => points.length > 0)
    .flatMap(({ name, colour }) => {
      const at = left;
      left += 24 + 7 * name.length;
      return [`<circle cx="${at + 5}" cy="34" r="5" fill="${colour}"/>`, text(at + 14, 38, name, "")];
    });
}

/** Values to places, with a tenth of room on both sides, and round values between them. */
function scale(values: readonly number[], from: number, to: number) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const room = (most - least || Math.abs(most) || 1) / 10;
  const [low, high] = [least - room, most + room];
  const rough = (high - low) / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10) * power;
  const first = Math.ceil(low / step);
  const ticks = Array.from({ length: Math.floor(high / step) - first + 1 }, (_, index) => (first + index) * step);
  const at: Place = (value) => Number((from + ((to - from) * (value - low)) / (high - low)).toFixed(1));
  return { at, ticks, step };
}

const shown = (value: number, step: number): string => value.toFixed(Math.max(0, -Math.floor(Math.log10(step))));

const text = (x: number, y: number, words: string, attributes: string): string =>
  `<text x="${x}" y="${y}" ${attributes}>${words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")}</text>`;
