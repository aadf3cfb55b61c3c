import { InputError } from "../errors.js";
import { EPSILON, type StoredMatrix } from "./matrix.js";

/** Cells of a matrix that is read from text; a larger one belongs into a binary file. */
const MAX_CELLS = 2 ** 26;
/** Characters of a cell that a message shows. */
const SHOWN = 80;

/**
 * A matrix as text: a line for each row, numbers separated by commas, semicolons, tabs or spaces. A first line without any number is taken
 * for the columns' names, and empty lines are skipped.
 *
 * @param name what the text is called in messages
 * @throws InputError naming the line and what stands there
 */
export function parseCsvMatrix(text: string, name: string): StoredMatrix {
  const lines = text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .map((line, index) => ({ cells: cellsOf(line), line: index + 1 }))
    .filter(({ cells }) => cells.length > 0);
  const [first] = lines;
  const rows = first?.cells.every((cell) => Number.isNaN(numberOf(cell))) ? lines.slice(1) : lines;
  const columns = rows[0]?.cells.length ?? 0;
  if (columns === 0) throw new InputError(`${name}: expected a line of numbers for each row of the matrix, found none.`);
  if (rows.length * columns > MAX_CELLS)
    throw new InputError(`${name}: has ${rows.length} × ${columns} numbers; at most ${MAX_CELLS} are read from text. Save it as .npy.`);
  const values = new Float64Array(rows.length * columns);
  for (const [row, { cells, line }] of rows.entries()) {
    if (cells.length !== columns)
      throw new InputError(`${name}:${line}: expected ${columns} numbers as in the first row, found ${cells.length}.`);
    for (const [column, cell] of cells.entries()) {
      const value = numberOf(cell);
      if (!Number.isFinite(value))
        throw new InputError(`${name}:${line}: expected a number in column ${column + 1}, found ${JSON.stringify(cell.slice(0, SHOWN))}.`);
      values[row * columns + column] = value;
    }
  }
  return { rows: rows.length, columns, values, epsilon: EPSILON.double };
}

/**
 * Where there are commas, semicolons or tabs, an empty cell between two of them is one. A line has one kind of them: where it has tabs or
 * semicolons, a comma may be a decimal one, which is no number here, and two columns are not made of it.
 */
function cellsOf(line: string): string[] {
  if (line.trim() === "") return [];
  const separator = ["\t", ";", ","].find((mark) => line.trim().includes(mark));
  const cells = separator === undefined ? line.trim().split(/\s+/) : line.split(separator);
  return cells.map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
}

const numberOf = (cell: string): number => (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(cell) ? Number(cell) : Number.NaN);
