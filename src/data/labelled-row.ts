import { parseJsonText } from "../files/parse-json.js";
import type { RowSource } from "./row.js";

/** A text, or a pair of texts, and what it is: a class by name, or a number. */
export interface LabelledText {
  readonly kind: "text";
  readonly text: string;
  readonly textPair: string | undefined;
  /** Names and numbers alike, as text: `1` and `"1"` are one label. Undefined where the row has none. */
  readonly label: string | undefined;
  readonly source: RowSource;
  /** As in `SourceRow`. */
  readonly group?: string;
}

/** Words, and a class for each of them. */
export interface TaggedWords {
  readonly kind: "words";
  readonly words: readonly string[];
  /** As many as words; undefined where the row has none. */
  readonly labels: readonly string[] | undefined;
  readonly source: RowSource;
  /** As in `SourceRow`. */
  readonly group?: string;
}

export type LabelledRow = LabelledText | TaggedWords;

/** A row without its place, or what is wrong with it ("expected …, found …"). */
type Recognised<Row> = Omit<Row, "source"> | { readonly problem: string };

type Fields = Readonly<Record<string, unknown>>;

/** What a wrong row throws inside this file; the recognisers turn it into the row's problem. */
class RowProblem extends Error {}

const fail = (problem: string): never => {
  throw new RowProblem(problem);
};

/** Whether rows without labels are taken too: those that a trained head is asked about. */
export interface LabelChoice {
  readonly labels: "required" | "optional";
}

/** Rows `{"text", "label"}` and `{"text", "text_pair", "label"}`. */
export function recogniseLabelledText(value: unknown, { labels }: LabelChoice = { labels: "required" }): Recognised<LabelledText> {
  return recognise<LabelledText>(value, (fields) => {
    const text = textAt(fields, "text", '"text" and "label"');
    const textPair = fields.text_pair === undefined || fields.text_pair === null ? undefined : textAt(fields, "text_pair", "");
    const has = fields.label !== undefined && fields.label !== null && !(labels === "optional" && fields.label === "");
    if (!has && labels === "required") fail(`expected "text" and "label", found ${keysOf(fields)}${adviceOf(fields, "label", labelNames)}`);
    return { kind: "text", text, textPair, label: has ? labelOf(fields.label, '"label"') : undefined };
  });
}

/** Rows `{"tokens": [words], "labels": [a label for each]}`; a table may hold the lists as JSON text. */
export function recogniseTaggedWords(value: unknown, { labels }: LabelChoice = { labels: "required" }): Recognised<TaggedWords> {
  return recognise<TaggedWords>(value, (fields) => {
    const words = listAt(fields, "tokens", '"tokens" and "labels"').map((word, index) =>
      typeof word === "string" && word.trim() !== ""
        ? word
        : fail(`"tokens"[${index}]: expected a word, found ${shown(word)}; leave empty ones out`),
    );
    if (words.length === 0) fail('expected "tokens" to hold words, found an empty list');
    const has = fields.labels !== undefined && fields.labels !== null;
    if (!has && labels === "optional") return { kind: "words", words, labels: undefined };
    const found = listAt(fields, "labels", '"tokens" and "labels"').map((label, index) => labelOf(label, `"labels"[${index}]`));
    if (found.length !== words.length) fail(`expected a label for each of the ${words.length} tokens, found ${found.length}`);
    return { kind: "words", words, labels: found };
  });
}

function recognise<Row>(value: unknown, read: (fields: Fields) => Omit<Row, "source">): Recognised<Row> {
  try {
    return read(isRecord(value) ? value : fail(`expected an object, found ${shown(value)}`));
  } catch (error) {
    if (error instanceof RowProblem) return { problem: error.message };
    throw error;
  }
}

const isRecord = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);

/** Names that other data sets give to the same thing. */
const textNames = ["sentence", "sentence1", "content", "review", "document", "premise", "question"];
const labelNames = ["labels", "class", "category", "target", "score", "sentiment", "stars"];

function textAt(fields: Fields, key: string, wanted: string): string {
  const value = fields[key];
  if (typeof value === "string") return value;
  if (value !== undefined) return fail(`expected "${key}" to be a string, found ${shown(value)}`);
  return fail(`expected ${wanted}, found ${keysOf(fields)}${adviceOf(fields, key, textNames)}`);
}

function listAt(fields: Fields, key: string, wanted: string): readonly unknown[] {
  const value = fields[key];
  if (Array.isArray(value)) return value;
  if (value === undefined) return fail(`expected ${wanted}, found ${keysOf(fields)}`);
  try {
    const parsed: unknown = typeof value === "string" ? parseJsonText(value) : undefined;
    if (Array.isArray(parsed)) return parsed;
  } catch {
    // said below
  }
  return fail(`expected "${key}" to be a list, found ${shown(value)}`);
}

/** What tables have where a value is missing, and no class is called. Words such as "None" and "NA" may be names. */
const MISSING = /^(|[-+]?nan|<na>|#n\/a|null)$/i;

/** A label as text. A whole number is written as such, so that 1, "1" and 1.0 are one label. */
function labelOf(value: unknown, where: string): string {
  if (typeof value === "string") {
    const label = value.trim();
    if (!MISSING.test(label)) return label;
    const found = label === "" ? "nothing" : `${shown(label)}, which tables have in place of a missing value`;
    return fail(`expected ${where} to be a name or a number, found ${found}. Fill it in, or leave the row out`);
  }
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  if (typeof value === "boolean") return String(value);
  return fail(`expected ${where} to be a name or a number, found ${shown(value)}`);
}

function keysOf(fields: Fields): string {
  const keys = Object.keys(fields);
  return keys.length === 0
    ? "no keys"
    : keys
        .slice(0, 12)
        .map((key) => JSON.stringify(key))
        .join(", ");
}

function adviceOf(fields: Fields, key: string, others: readonly string[]): string {
  const other = Object.keys(fields).find((found) => others.includes(found.toLowerCase()) || (found !== key && found.toLowerCase() === key));
  return other === undefined ? "" : `; rename ${JSON.stringify(other)} to "${key}"`;
}

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
