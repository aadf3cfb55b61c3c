/** A Markdown table, its columns aligned so that it also reads well in a terminal. The first `words` columns stand on the left. */
export function markdownTable(columns: readonly string[], rows: readonly (readonly string[])[], words: number): string {
  const widths = columns.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const isNumber = (column: number) => column >= words;
  const line = (values: readonly string[]) =>
    `| ${values.map((value, column) => (isNumber(column) ? value.padStart(widths[column] ?? 0) : value.padEnd(widths[column] ?? 0))).join(" | ")} |`;
  const rule = `|${widths.map((width, column) => (isNumber(column) ? `${"-".repeat(width + 1)}:` : "-".repeat(width + 2))).join("|")}|`;
  return [line(columns), rule, ...rows.map(line)].join("\n");
}

export function gigabytes(bytes: number | null): string {
  return bytes === null ? "unknown" : `${(bytes / 1e9).toFixed(2)} GB`;
}

export function percent(share: number | null): string {
  return share === null ? "" : `${(100 * share).toFixed(0)} %`;
}
