import { parseJsonText } from "../files/parse-json.js";
/** A value of a file with the line (from 1) on which it begins, or what is wrong there. */
export type Located = { readonly line: number; readonly value: unknown } | { readonly line: number; readonly problem: string };

/** The reason of a JSON error without the text that V8 repeats. */
function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/, "[\s\S]*" is not valid JSON$/, "").replace(/,? ?\.\.\."[\s\S]*"\.\.\. is not valid JSON$/, "");
}

/** One line of a JSONL file; undefined for a blank one. */
export function parseJsonLine(text: string, line: number): Located | undefined {
  if (text.trim() === "") return undefined;
  try {
    return { line, value: parseJsonText(text) };
  } catch (error) {
    const start = text.trim();
    const shown = start.length > 40 ? `${start.slice(0, 40)}…` : start;
    return { line, problem: `expected a JSON object on this line, found ${JSON.stringify(shown)} (${reason(error)})` };
  }
}

/**
 * The elements of the list that a JSON file holds, each with its line. The text is parsed as a whole; the lines come from a scan
 * for the commas of the outermost list.
 */
export function parseJsonList(text: string): readonly Located[] | { readonly problem: string } {
  let value: unknown;
  try {
    value = parseJsonText(text);
  } catch (error) {
    return { problem: `is not JSON: ${reason(error)}` };
  }
  if (!Array.isArray(value))
    return { problem: `expected a list of rows ([{…}, {…}]), found ${value === null ? "null" : `one ${typeof value}`}` };
  const lines = elementLines(text);
  return value.map((element: unknown, index) => ({ line: lines[index] ?? 1, value: element }));
}

/** The line on which each element of the outermost list begins; the text is known to be JSON. */
function elementLines(text: string): number[] {
  const lines: number[] = [];
  let line = 1;
  let depth = 0;
  let awaits = false;
  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (character === 0x0a) line++;
    if (character <= 0x20) continue;
    const closes = character === 0x5d || character === 0x7d; // ] }
    if (awaits && !closes) {
      lines.push(line);
      awaits = false;
    }
    if (character === 0x22) i = endOfString(text, i);
    else if (character === 0x5b || character === 0x7b)
      awaits = ++depth === 1; // [ {
    else if (closes) depth--;
    else if (character === 0x2c && depth === 1) awaits = true; // ,
  }
  return lines;
}

/** Index of the quote that closes the string which opens at `start`. JSON strings hold no line breaks. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text.charCodeAt(i) !== 0x22) i += text.charCodeAt(i) === 0x5c ? 2 : 1;
  return i;
}
