import type { ModelInput } from "../text/model-input.js";
import type { TextCodec } from "../text/tokenizer.js";
import type { ExampleCounts, Overflow, RowEncoder } from "./example.js";
import type { LabelledRow, LabelledText, TaggedWords } from "./labelled-row.js";
import type { LabelledTokens } from "./lesson.js";
import { keyOfPrompt, type RowSource } from "./row.js";
import { type Collector, inArray, type Series } from "./series.js";

/** A row with labels as token ids, ready for a batch. */
export interface LabelledExample extends LabelledTokens {
  readonly source: RowSource;
  /** Rows of one text have the same key, and are held out together. */
  readonly prompt: string;
  /** As in `SourceRow`. */
  readonly group?: string;
  readonly row: LabelledRow;
  /** For each of `places`, which word of the row it stands for; 0 for a whole text. */
  readonly words: Int32Array;
}

/** How rows become examples. */
export interface LabelEncoding {
  /** Which place stands for a text: that of its first token or of its last. Words each have their own. */
  readonly reads: "first" | "last";
  /** Tokens of the longest example. */
  readonly maxLength: number;
  readonly overflow: Overflow;
}

/** What a row is to tell, one target for each of its labels, and what each of them counts for. */
export interface RowTargets {
  readonly targets: Int32Array | Float32Array;
  readonly weights: Float32Array;
}

export interface EncodedLabels<Examples extends Series<LabelledExample> = Series<LabelledExample>> {
  readonly examples: Examples;
  readonly counts: Readonly<ExampleCounts>;
}

/** Rows as examples. Texts that are too long are cut as the tokenizer of transformers cuts them, or left out, and counted. */
export function encodeLabelled(
  codec: TextCodec,
  rows: readonly LabelledRow[],
  targetsOf: (row: LabelledRow) => RowTargets,
  encoding: LabelEncoding,
): EncodedLabels<readonly LabelledExample[]> {
  const encoder = labelEncoder(codec, targetsOf, encoding, inArray<LabelledExample>());
  for (const [index, row] of rows.entries()) encoder.add(row, index);
  return encoder.result();
}

/** The same, row by row. */
export function labelEncoder<Examples extends Series<LabelledExample>>(
  codec: TextCodec,
  targetsOf: (row: LabelledRow) => RowTargets,
  encoding: LabelEncoding,
  into: Collector<LabelledExample, Examples>,
): RowEncoder<LabelledRow, EncodedLabels<Examples>> {
  const counts: ExampleCounts = { rows: 0, cut: 0, droppedTooLong: 0, droppedEmpty: 0 };
  const encodeWordsOf = wordEncoder(codec);
  return {
    add(row, index) {
      counts.rows++;
      const encoded = row.kind === "text" ? encodeText(codec, row, encoding) : encodeWords(codec, row, encoding.maxLength, encodeWordsOf);
      const { ids, places, cut } = encoded;
      if (places.length === 0 || ids.length === 0) {
        counts.droppedEmpty++;
        return;
      }
      if (cut && encoding.overflow === "drop") {
        counts.droppedTooLong++;
        return;
      }
      if (cut) counts.cut++;
      into.push(toExample(encoded, row, targetsOf(row)), index);
    },
    result: () => ({ examples: into.series, counts }),
  };
}

function toExample({ ids, tokenTypes, places, words }: Encoded, row: LabelledRow, { targets, weights }: RowTargets): LabelledExample {
  const chosen = <A extends Int32Array | Float32Array>(values: A): A => values.filter((_, word) => words.includes(word)) as A;
  return {
    ids: Int32Array.from(ids),
    ...(tokenTypes.some((type) => type !== 0) ? { tokenTypes: Uint8Array.from(tokenTypes) } : {}),
    places: Int32Array.from(places),
    words: Int32Array.from(words),
    targets: chosen(targets),
    weights: chosen(weights),
    source: row.source,
    prompt: keyOf(row),
    ...(row.group === undefined ? {} : { group: row.group }),
    row,
  };
}

interface Encoded {
  readonly ids: readonly number[];
  readonly tokenTypes: readonly number[];
  readonly places: readonly number[];
  readonly words: readonly number[];
  readonly cut: boolean;
}

function encodeText(codec: TextCodec, { text, textPair }: LabelledText, { reads, maxLength }: LabelEncoding): Encoded {
  const { ids, typeIds, cut }: ModelInput = codec.encodeInput(text, textPair, { maxLength });
  const place = reads === "first" ? 0 : ids.length - 1;
  return { ids, tokenTypes: typeIds, places: ids.length === 0 ? [] : [place], words: [0], cut: cut > 0 };
}

/** The first token of each word has the word's label, the others none, as in transformers' example of token classification. */
function encodeWords(
  codec: TextCodec,
  { words }: TaggedWords,
  maxLength: number,
  idsOf: (word: string, index: number) => number[],
): Encoded {
  const around = codec.encodeInput("").ids;
  const opening = codec.startIds;
  const closing = around.slice(opening.length);
  const room = maxLength - around.length;
  const inner: number[] = [];
  const places: number[] = [];
  const found: number[] = [];
  let cut = false;
  for (const [index, word] of words.entries()) {
    const ids = idsOf(word, index);
    if (inner.length + ids.length > room) cut = true;
    if (inner.length >= room) break;
    if (ids.length === 0) continue; // a word of which the tokenizer makes nothing
    places.push(opening.length + inner.length);
    found.push(index);
    inner.push(...ids);
  }
  const ids = [...opening, ...inner.slice(0, Math.max(0, room)), ...closing];
  return { ids, tokenTypes: ids.map(() => 0), places, words: found, cut };
}

/**
 * The ids of single words as they stand in a text. A vocabulary of bytes counts the space before a word to the word; others do not, or put
 * it there themselves.
 */
function wordEncoder(codec: TextCodec): (word: string, index: number) => number[] {
  const apart = [...codec.encode("a"), ...codec.encode("b")].join();
  const spaced = [...codec.encode("a"), ...codec.encode(" b")].join();
  const whole = codec.encode("a b").join();
  const countsSpace = whole === spaced && whole !== apart;
  return (word, index) => codec.encode(countsSpace && index > 0 ? ` ${word}` : word, { special: false });
}

const keyOf = (row: LabelledRow): string =>
  keyOfPrompt(row.kind === "words" ? row.words.join(" ") : row.textPair === undefined ? row.text : `${row.text}\n${row.textPair}`);
