import { InputError } from "../errors.js";

/**
 * The general probe: short cloze questions and passages of plain English that no task of a user is about. What an adapter
 * changes here is what it costs elsewhere. The questions and passages were written for this package.
 */

export const SKILLS = ["knowledge", "language", "arithmetic", "instruction"] as const;
export type Skill = (typeof SKILLS)[number];

/** A beginning and several continuations, one of them right. A continuation follows its prompt after one space. */
export interface ClozeQuestion {
  readonly id: string;
  readonly skill: Skill;
  readonly prompt: string;
  readonly choices: readonly string[];
  /** The index of the right choice. */
  readonly answer: number;
}

const CHOICES = { least: 2, most: 8 };
/** No probe needs more; a file that has more was not meant for this. */
const MOST_ROWS = 100_000;

/**
 * Reads cloze questions from the text of a JSONL file.
 *
 * @param name What the text is called in error messages, such as the file's path.
 * @throws InputError that lists every malformed row as `NAME:LINE: expected, found`.
 */
export function parseCloze(text: string, name: string): ClozeQuestion[] {
  const lineOf = new Map<string, number>();
  return parseRows(text, name, (row, line) => {
    const question = clozeQuestion(row);
    const earlier = lineOf.get(question.id);
    if (earlier !== undefined) throw new InputError(`expected an id of its own, found "${question.id}", the id of line ${earlier} too`);
    lineOf.set(question.id, line);
    return question;
  });
}

/**
 * Reads passages of general text, rows `{"text"}`, from the text of a JSONL file.
 *
 * @throws InputError as `parseCloze` does.
 */
export function parsePassages(text: string, name: string): string[] {
  return parseRows(text, name, (row) => nonEmpty(row, "text"));
}

function parseRows<T>(text: string, name: string, read: (row: Record<string, unknown>, line: number) => T): T[] {
  const rows: T[] = [];
  const problems: string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    try {
      rows.push(read(jsonObject(line), index + 1));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      problems.push(`${name}:${index + 1}: ${error.message}.`);
    }
    if (rows.length > MOST_ROWS) throw new InputError(`${name}: expected at most ${MOST_ROWS} rows, found more.`);
  }
  if (problems.length > 0) throw new InputError(problems.join("\n"));
  if (rows.length === 0) throw new InputError(`${name}: expected at least one row, found none.`);
  return rows;
}

function jsonObject(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new InputError(`expected a JSON object, found ${shown(line)}`, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InputError(`expected a JSON object, found ${shown(line)}`);
  }
  return Object.fromEntries(Object.entries(value));
}

function clozeQuestion(row: Record<string, unknown>): ClozeQuestion {
  const [id, prompt] = [nonEmpty(row, "id"), nonEmpty(row, "prompt")];
  const skill = SKILLS.find((known) => known === row.skill);
  if (skill === undefined) throw new InputError(`expected "skill" to be one of ${SKILLS.join(", ")}, found ${shown(row.skill)}`);
  const choices = choicesOf(row.choices);
  const answer = row.answer;
  if (typeof answer !== "number" || !Number.isInteger(answer) || answer < 0 || answer >= choices.length) {
    throw new InputError(`expected "answer" to be the index of a choice, 0 to ${choices.length - 1}, found ${shown(answer)}`);
  }
  return { id, skill, prompt, choices, answer };
}

function choicesOf(value: unknown): string[] {
  const isText = (choice: unknown): choice is string => typeof choice === "string" && choice.trim() !== "";
  const { least, most } = CHOICES;
  if (!Array.isArray(value) || value.length < least || value.length > most || !value.every(isText) || new Set(value).size < value.length) {
    throw new InputError(`expected "choices" to be ${least} to ${most} different non-empty strings, found ${shown(value)}`);
  }
  return value;
}

function nonEmpty(row: Record<string, unknown>, key: string): string {
  const value = row[key];
  if (typeof value !== "string" || value.trim() === "")
    throw new InputError(`expected "${key}" to be a non-empty string, found ${shown(value)}`);
  return value;
}

/** A value as it is quoted in a message: short, and "nothing" when it is missing. */
function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
