import type { RankResult } from "../../workflows/api.js";
import { percentText, plainNumber } from "./numbers.js";
import { facts, table } from "./table.js";

/** Singular values shown of a long spectrum. */
const SHOWN = 10;
/** A factor with more numbers than this is said by its shape alone. */
const SHOWN_NUMBERS = 100;

/** Rank and spectrum of a matrix, and a row for each approximation. */
export function rankText(result: RankResult): string {
  const { rows, columns, rank, singularValues } = result;
  const most = Math.min(rows, columns);
  const valueText = (value: number) => plainNumber(value > result.tolerance ? value : 0); // the rest is rounding
  const head = facts([
    ["matrix", `${result.tensor ?? result.file}, ${rows} × ${columns} = ${(rows * columns).toLocaleString("en")} numbers`],
    ["rank", `${rank} of at most ${most} (singular values above ${plainNumber(result.tolerance)})`],
    ["effective rank", plainNumber(result.effectiveRank)],
    ["norm", plainNumber(result.norm)],
    [
      "singular values",
      `${singularValues.slice(0, SHOWN).map(valueText).join(" ")}${singularValues.length > SHOWN ? ` … ${valueText(singularValues.at(-1) ?? 0)}` : ""}`,
    ],
  ]);
  const lines = result.approximations.map((each) => [
    String(each.rank),
    each.parameters.toLocaleString("en"),
    percentText(each.parameters / (rows * columns)),
    plainNumber(each.rank >= rank ? 0 : each.error),
    percentText(each.rank >= rank ? 0 : each.relativeError),
    plainNumber(each.rank >= rank ? 0 : each.largestError),
  ]);
  const columnTitles = ["rank", "numbers", "of the matrix's", "error", "of its norm", "largest error"].map((title) => ({
    title,
    right: true,
  }));
  const approximations =
    lines.length === 0 ? "" : `\n\nThe best matrix of each rank, and how far it is away:\n${table(columnTitles, lines)}`;
  return `${head}${approximations}${factorsText(result)}\n\n${wordsOf(rank, most, rows, columns)}`;
}

function wordsOf(rank: number, most: number, rows: number, columns: number): string {
  if (rank === 0) return "All numbers are zero.";
  const product = `(${rows} × ${rank}) · (${rank} × ${columns})`;
  if (rank === most) return "The rank is full: only approximations have fewer numbers, at the price of their errors.";
  if (rank * (rows + columns) >= rows * columns)
    return `It is a product ${product}, but the two factors have more numbers than the matrix: only approximations have fewer.`;
  return `It is a product ${product}: ${(rank * (rows + columns)).toLocaleString("en")} numbers say all of its ${(rows * columns).toLocaleString("en")}.`;
}

function factorsText({ factors, files }: RankResult): string {
  if (files !== undefined) return `\n\nfactors ${files.join(", ")}`;
  if (factors === undefined) return "";
  const { b, c, rank } = factors;
  const small = b.length * rank <= SHOWN_NUMBERS && c.length * (c[0]?.length ?? 0) <= SHOWN_NUMBERS;
  if (!small) return `\n\nB is ${b.length} × ${rank}, C ${rank} × ${c[0]?.length ?? 0}: --json has their numbers, --out writes them.`;
  return `\n\nB =\n${grid(b)}\n\nC =\n${grid(c)}`;
}

function grid(lines: readonly (readonly number[])[]): string {
  const cells = lines.map((line) => line.map((value) => value.toPrecision(5)));
  const width = Math.max(...cells.flat().map((cell) => cell.length));
  return cells.map((line) => `  ${line.map((cell) => cell.padStart(width)).join("  ")}`).join("\n");
}
