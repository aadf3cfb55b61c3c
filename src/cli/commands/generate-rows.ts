import * as z from "zod";
import { parseJsonLine } from "../../data/json-lines.js";
import { findDataFiles } from "../../data/node/data-files.js";
import { readTextChunks, splitLines } from "../../data/node/text-lines.js";
import { InputError } from "../../errors.js";
import type { BatchPiece, BatchRequest, LanguageModel, LoadedAdapter } from "../../workflows/api.js";
import { suggestion } from "../../workflows/parse-options.js";
import type { Screen } from "../screen.js";

/** What one line of a file of prompts asks, and of whom. */
export interface PromptRow {
  readonly line: number;
  readonly asked: Pick<BatchRequest, "messages">;
  /** As the line names it; null for none, undefined where it names nothing. */
  readonly adapter: string | null | undefined;
}

/** Lines with problems that are shown. */
const MOST_SHOWN = 10;

const messages = z.array(z.looseObject({ role: z.string(), content: z.string() })).min(1);
const adapter = z.string().min(1).nullable().optional();
const row = z.union([
  z.strictObject({ prompt: z.string().min(1), system: z.string().optional(), adapter }),
  z.strictObject({ messages, adapter }),
]);

const expected = 'expected {"prompt": text} with an optional "system", or {"messages": list}, and an optional "adapter": name or null';

/** Reads a file of prompts, a JSON object a line. @throws InputError with every line that is none, as far as they are shown. */
export async function readPromptRows(path: string): Promise<readonly PromptRow[]> {
  const rows: PromptRow[] = [];
  const problems: string[] = [];
  for (const file of await findDataFiles(path)) {
    let line = 0;
    for await (const text of splitLines(readTextChunks(file), file.name)) {
      const located = parseJsonLine(text, ++line);
      if (located === undefined) continue;
      const read = "problem" in located ? located.problem : understood(located.value, line);
      if (typeof read === "string") problems.push(`${file.name}, line ${line}: ${read}`);
      else rows.push(read);
    }
  }
  if (problems.length > 0) throw new InputError(shortened(problems));
  if (rows.length === 0) throw new InputError(`${path}: holds no prompts; ${expected}, one a line.`);
  return rows;
}

function understood(value: unknown, line: number): PromptRow | string {
  const parsed = row.safeParse(value);
  if (!parsed.success) return `${expected}; found ${shown(value)}`;
  const { data } = parsed;
  if ("messages" in data) return { line, asked: { messages: data.messages }, adapter: data.adapter };
  const system = data.system === undefined ? [] : [{ role: "system", content: data.system }];
  return { line, asked: { messages: [...system, { role: "user", content: data.prompt }] }, adapter: data.adapter };
}

/** The adapter that each row names, or the model's first. @throws InputError with every line whose adapter is not loaded */
export function adaptersOf(rows: readonly PromptRow[], { adapters }: LanguageModel, path: string): readonly (LoadedAdapter | null)[] {
  const problems: string[] = [];
  const found = rows.map(({ line, adapter }) => {
    if (adapter === null) return null;
    if (adapter === undefined) return adapters[0] ?? null;
    const named = adapters.find(({ name, directory }) => name === adapter || directory === adapter);
    const names = adapters.map(({ name }) => name);
    const advice = names.length === 0 ? "; give its folder by --adapter" : suggestion(adapter, names);
    if (named === undefined) problems.push(`${path}, line ${line}: no adapter is called "${adapter}"${advice}`);
    return named ?? null;
  });
  if (problems.length > 0) throw new InputError(shortened(problems));
  return found;
}

/** Shows answers as they grow, in the order of their rows: one that is ahead of its turn waits. */
export async function showRows(
  pieces: AsyncIterable<BatchPiece>,
  adapters: readonly (LoadedAdapter | null)[],
  screen: Screen,
): Promise<void> {
  const answers = adapters.map(() => ({ text: "", ended: undefined as BatchPiece["ended"] }));
  let [turn, headed, written] = [0, 0, 0];
  for await (const { row, text, ended } of pieces) {
    const answer = answers[row];
    if (answer === undefined) throw new Error(`there is no row ${row}`);
    answer.text += text;
    answer.ended = ended;
    for (let current = answers[turn]; current !== undefined; current = answers[turn]) {
      if (headed === turn) screen.note(screen.paintNotes("bold", `── ${++headed}: ${adapters[turn]?.name ?? "no adapter"}`));
      screen.stream(current.text.slice(written));
      written = current.text.length;
      if (current.ended === undefined) break;
      screen.stream("\n");
      screen.json({ row: turn + 1, adapter: adapters[turn]?.directory ?? null, ...current });
      [turn, written] = [turn + 1, 0];
    }
  }
}

/** What is wrong with a request, by the line that it came from. */
export async function* namingLines<T>(pieces: AsyncIterable<T>, rows: readonly PromptRow[], path: string): AsyncGenerator<T> {
  try {
    yield* pieces;
  } catch (error) {
    const [whole = "", row] = /^requests\[(\d+)\]: /.exec(error instanceof InputError ? error.message : "") ?? [];
    if (!(error instanceof InputError) || row === undefined) throw error;
    throw new InputError(`${path}, line ${rows[Number(row)]?.line}: ${error.message.slice(whole.length)}`, { cause: error.cause });
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

function shortened(problems: readonly string[]): string {
  const more = problems.length - MOST_SHOWN;
  return [...problems.slice(0, MOST_SHOWN), ...(more > 0 ? [`… and ${more} more`] : [])].join("\n");
}
