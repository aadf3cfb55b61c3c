import type { ResultRow } from "./rows.js";

const WIDTH = 760;
const LEFT = 230;
const BAR = 16;
const GAP = 4;
const COLOURS = { ours: "#2f7d4f", peer: "#8a8f98" } as const;

interface Bar {
  readonly label: string;
  readonly value: number;
  readonly colour: string;
}

/** Tokens a second of every training work, a bar for each side, as an SVG picture. Bars of one work share a scale. */
export function chart(rows: readonly ResultRow[]): string {
  const parts: string[] = [];
  let y = 10;
  for (const row of rows) {
    if (row.kind !== "train") continue;
    const bars: Bar[] = [
      ...row.all.map(({ name, tokensPerSecond }) => ({ label: `Lorikeet ${name}`, value: tokensPerSecond, colour: COLOURS.ours })),
      ...row.peers.map(({ name, tokensPerSecond }) => ({ label: name, value: tokensPerSecond, colour: COLOURS.peer })),
    ];
    y += 16;
    parts.push(`<text x="8" y="${y}" font-weight="bold">${escaped(row.work)}, tokens/s</text>`);
    y += 8;
    const most = Math.max(...bars.map(({ value }) => value));
    for (const bar of bars) {
      parts.push(drawn(bar, most, y));
      y += BAR + GAP;
    }
    y += 8;
  }
  const style = `font-family="system-ui, sans-serif" font-size="12" fill="#1c1c1c"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y + 4}" viewBox="0 0 ${WIDTH} ${y + 4}" ${style}>`,
    `<rect width="${WIDTH}" height="${y + 4}" fill="#ffffff"/>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function drawn({ label, value, colour }: Bar, most: number, y: number): string {
  const width = ((WIDTH - LEFT - 70) * value) / most;
  const baseline = y + BAR - 4;
  return [
    `<text x="${LEFT - 8}" y="${baseline}" text-anchor="end">${escaped(label)}</text>`,
    `<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" fill="${colour}"/>`,
    `<text x="${(LEFT + width + 6).toFixed(1)}" y="${baseline}">${value.toFixed(0)}</text>`,
  ].join("");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
