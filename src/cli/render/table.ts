/** One column: its heading, and whether its cells are numbers (set to the right). */
export interface Column {
  readonly title: string;
  readonly right?: boolean;
}

/** Lines of a table: a heading, a rule, rows; columns two spaces apart. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title }, index) => Math.max(lengthOf(title), ...rows.map((row) => lengthOf(row[index] ?? ""))));
  const line = (cells: readonly string[]) =>
    columns
      .map(({ right }, index) => {
        const cell = cells[index] ?? "";
        const space = " ".repeat((widths[index] ?? 0) - lengthOf(cell));
        return right === true ? space + cell : cell + space;
      })
      .join("  ")
      .trimEnd();
  return [line(columns.map(({ title }) => title)), widths.map((width) => "─".repeat(width)).join("  "), ...rows.map(line)].join("\n");
}

/** "name  value" lines with the values under one another. */
export function facts(pairs: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...pairs.map(([name]) => lengthOf(name)));
  return pairs.map(([name, value]) => `${name}${" ".repeat(width - lengthOf(name))}  ${value}`).join("\n");
}

function lengthOf(text: string): number {
  return [...text].length;
}
