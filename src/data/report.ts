import { renderChat } from "../text/template.js";
import type { TextCodec } from "../text/tokenizer.js";
import { type EncodedRows, type Example, type ExampleCounts, longExampleRules, type Overflow } from "./example.js";
import type { TaughtTokens } from "./lesson.js";
import { type Compared, countDuplicates, countPrompts, type Overlap, overlapOf } from "./repetition.js";
import type { RowForm } from "./row.js";
import { firstOf, type Series } from "./series.js";
import { sizesOf } from "./sizes.js";

/** A stretch of a rendered example, and whether the model learns it. */
export interface MaskedText {
  readonly text: string;
  readonly supervised: boolean;
}

export interface LengthStatistics {
  readonly least: number;
  readonly median: number;
  readonly mean: number;
  /** 95 of 100 examples are at most this long. */
  readonly percentile95: number;
  readonly most: number;
  /** Examples of more than `from` and up to `to` tokens. */
  readonly histogram: readonly { readonly from: number; readonly to: number; readonly count: number }[];
}

/** Forms of rows: those of conversations and documents, and one for each kind of label. */
export type DataForm = RowForm | "text-label" | "text-pair-label" | "tokens-labels" | "anchor-positive";

/** What `lorikeet data` says of a file. Plain JSON. */
export interface DataReport {
  readonly file: string;
  readonly format: string;
  /** Rows of each form. */
  readonly forms: Readonly<Partial<Record<DataForm, number>>>;
  readonly rows: number;
  readonly examples: number;
  readonly cut: number;
  readonly droppedTooLong: number;
  readonly droppedEmpty: number;
  readonly maxLength: number;
  readonly longExampleRule: string;
  /** Tokens an example, after cutting; of pairs, tokens a text. */
  readonly lengths: LengthStatistics;
  readonly tokens: number;
  /** Of a task with labels: places that have one. */
  readonly supervisedTokens: number;
  /** How many texts or words have each label, of a classification: in the order in which the classes are numbered. */
  readonly labels?: readonly { readonly label: string; readonly count: number }[];
  /** What the numbers of a regression range over. */
  readonly values?: { readonly least: number; readonly mean: number; readonly most: number };
  readonly train: number;
  readonly heldOut: number;
  /** Distinct prompts among the examples. */
  readonly prompts: number;
  /** Examples that are, token for token, the same as an earlier one. */
  readonly duplicates: number;
  /** Held-out examples, or those of the validation file, that are trained on too. */
  readonly overlap: Overlap;
  readonly samples: readonly {
    readonly file: string;
    readonly line: number;
    readonly tokens: number;
    readonly segments: readonly MaskedText[];
    /** What the example tells beside its text: a label, one for each word, or the positive of an anchor. */
    readonly tells?: string;
  }[];
  /** In plain words, what a reader should look at. */
  readonly notes: readonly string[];
}

/** An example as text, in stretches of learned and shown tokens. Characters split over several tokens stay whole in one stretch. */
export function maskedText(codec: TextCodec, example: Pick<Example, "ids" | "supervised">): MaskedText[] {
  const segments: MaskedText[] = [];
  const ids = Array.from(example.ids);
  let start = 0;
  let before = "";
  for (let end = 1; end <= ids.length; end++) {
    if (end < ids.length && example.supervised[end] === example.supervised[start]) continue;
    // Text is cut from the decoding of the whole, so that a token's leading space is not lost at the edge of a stretch.
    const upTo = codec.decode(ids.slice(0, end));
    segments.push({ text: upTo.slice(before.length), supervised: example.supervised[start] === 1 });
    before = upTo;
    start = end;
  }
  return segments;
}

/** Bounds that double: up to 32, 64, 128, … tokens. */
function histogramOf(sorted: Int32Array): LengthStatistics["histogram"] {
  const bars: { from: number; to: number; count: number }[] = [];
  let from = 0;
  for (let to = 32; bars.length === 0 || from < (sorted.at(-1) ?? 0); to *= 2) {
    bars.push({ from, to, count: sorted.reduce((count, length) => count + (length > from && length <= to ? 1 : 0), 0) });
    from = to;
  }
  return bars;
}

export function lengthStatistics(lengths: ArrayLike<number>): LengthStatistics {
  const sorted = Int32Array.from(lengths).sort();
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return {
    least: at(0),
    median: at(0.5),
    mean: sorted.reduce((sum, length) => sum + length, 0) / Math.max(1, sorted.length),
    percentile95: at(0.95),
    most: at(1),
    histogram: histogramOf(sorted),
  };
}

/** True when rows come with tools and the template writes nothing of them. */
function ignoresTools({ withTools: row }: EncodedRows, codec: TextCodec): boolean {
  if (row?.kind !== "chat") return false;
  const variables = row.templateVariables;
  return renderChat(codec, row.messages, { tools: row.tools, variables }) === renderChat(codec, row.messages, { variables });
}

/** A file that teaches less than this share of its tokens is worth a remark. */
const smallShare = 0.05;

function notesOf(encoded: EncodedRows, codec: TextCodec, supervisedShare: number, heldOut: number): string[] {
  const { counts, forms } = encoded;
  const notes: string[] = [];
  if (Object.keys(forms).length > 1)
    notes.push(`The file mixes forms of rows (${Object.keys(forms).join(", ")}); each is read by its own keys.`);
  const asTurns = (forms["prompt-completion"] ?? 0) + (forms.alpaca ?? 0) > 0;
  if (asTurns && codec.chatTemplate !== undefined)
    notes.push("A prompt is written as a turn of the user and its completion as the answer, by the model's chat template.");
  if (asTurns && codec.chatTemplate === undefined)
    notes.push("The model has no chat template: a prompt and its completion are joined as they are, and the end-of-text token is added.");
  if (forms.text !== undefined) notes.push('Rows of the form {"text"} are learned whole, also what a user would have typed.');
  if (ignoresTools(encoded, codec))
    notes.push('The model\'s chat template does not write "tools": the model is not told what it may call.');
  if (counts.cut > 0) notes.push(`${counts.cut} examples are cut: the model does not see how they end. Raise --max-length if it should.`);
  if (supervisedShare < smallShare)
    notes.push(`Only ${(100 * supervisedShare).toFixed(1)} % of the tokens are learned; the rest is read in every step all the same.`);
  if (heldOut === 0) notes.push("Nothing can be held out for validation: all rows have one prompt. Give a file of its own with --valid.");
  return notes;
}

/** Examples that a report shows. */
export const SAMPLES = 3;

/** What the reports of all tasks are made of. */
export interface ReportParts {
  readonly encoded: { readonly examples: Series<Compared>; readonly counts: Readonly<ExampleCounts> };
  readonly split: { readonly train: Series<Compared>; readonly heldOut: Series<Compared> };
  readonly options: { readonly file: string; readonly format: string; readonly maxLength: number; readonly overflow?: Overflow };
  /** Tokens of each example or text. */
  readonly lengths: Int32Array;
}

/** What a report says of examples of any task. */
export function countsReport({ encoded: { examples, counts }, split, options, lengths }: ReportParts) {
  const { overflow = "cut", ...file } = options;
  return {
    ...file,
    ...counts,
    examples: examples.length,
    longExampleRule: longExampleRules[overflow],
    lengths: lengthStatistics(lengths),
    tokens: lengths.reduce((sum, length) => sum + length, 0),
    train: split.train.length,
    heldOut: split.heldOut.length,
    prompts: countPrompts(examples),
    duplicates: countDuplicates(examples),
    overlap: overlapOf(split.train, split.heldOut),
  };
}

/** Places of all examples at which something is learned. */
export const countPlaces = (examples: Series<TaughtTokens>): number => sizesOf(examples).places.reduce((sum, count) => sum + count, 0);

/** Gathers what there is to say of a file: what it was taken for, lengths, what is cut or left out, and samples with their mask. */
export function buildDataReport(
  codec: TextCodec,
  encoded: EncodedRows,
  split: { readonly train: Series<Example>; readonly heldOut: Series<Example> },
  options: ReportParts["options"],
): DataReport {
  const { examples, forms } = encoded;
  const counted = countsReport({ encoded, split, options, lengths: sizesOf(examples).tokens });
  const supervisedTokens = countPlaces(examples);
  return {
    ...counted,
    forms,
    supervisedTokens,
    samples: firstOf(examples, SAMPLES).map((example) => ({
      file: example.source.file,
      line: example.source.line,
      tokens: example.ids.length,
      segments: maskedText(codec, example),
    })),
    notes: notesOf(encoded, codec, supervisedTokens / Math.max(1, counted.tokens), split.heldOut.length),
  };
}
