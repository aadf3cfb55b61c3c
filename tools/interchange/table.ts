import { type Format, type FormatGroup, formatGroups } from "./formats.js";
import type { Proof } from "./proofs.js";

const ways = ["in", "out"] as const;

/** What is wrong with the proofs of the formats, in words. */
export function unproven(proofs: readonly Proof[], groups: readonly FormatGroup[] = formatGroups): string[] {
  const formats = groups.flatMap((group) => group.formats);
  const known = new Set(formats.flatMap((format) => ways.filter((way) => format[way] !== undefined).map((way) => `${format.id} ${way}`)));
  const proven = new Set(proofs.map(({ format, way }) => `${format} ${way}`));
  return [
    ...[...known].filter((name) => !proven.has(name)).map((name) => `no test proves ${name}`),
    ...proofs
      .filter(({ format, way }) => !known.has(`${format} ${way}`))
      .map(({ format, way, file }) => `${file} proves ${format} ${way}, of which tools/interchange/formats.ts knows nothing`),
  ];
}

/** The table of what comes in and what goes out, as Markdown. */
export function interchangeTable(proofs: readonly Proof[], groups: readonly FormatGroup[] = formatGroups): string {
  return groups.flatMap(({ title, formats }) => [heading(title), ...formats.map((format) => row(format, proofs)), ""]).join("\n");
}

const heading = (title: string) => `| ${title} | of | in | out | proven by |\n|---|---|---|---|---|`;

function row(format: Format, proofs: readonly Proof[]): string {
  const proven = ways.flatMap((way) => proofCell(way, format, proofs));
  return `| ${[format.what, format.tool, format.in ?? "", format.out ?? "", proven.join("<br>")].join(" | ")} |`;
}

/** What proves one way; named where there are two. */
function proofCell(way: (typeof ways)[number], format: Format, proofs: readonly Proof[]): string[] {
  const own = proofs.filter((proof) => proof.format === format.id && proof.way === way);
  if (own.length === 0) return [];
  const label = format.in !== undefined && format.out !== undefined ? `*${way}:* ` : "";
  return [`${label}${own.map(({ claim, file }) => `${claim} (\`${file.replace(/^tests\//, "")}\`)`).join("; ")}`];
}

const START = "<!-- Made by `npm run docs` of the tests that prove it: tools/interchange/. -->\n\n";
const END = "\n<!-- End of what is made. -->";

/** A page with its table made anew. */
export function withTable(page: string, table: string): string {
  const [before, rest] = page.split(START);
  const [, after] = rest?.split(END) ?? [];
  if (before === undefined || after === undefined) throw new Error("docs/interchange.md has lost the marks around its table.");
  return `${before}${START}${table}${END}${after}`;
}
