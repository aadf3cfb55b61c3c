import type { TextCodec } from "../text/tokenizer.js";
import { Companions } from "./companions.js";
import { Distinct, fingerprintOf } from "./distinct.js";
import type { ExampleCounts } from "./example.js";
import type { PairExample } from "./pair.js";
import { countsReport, type DataReport, type ReportParts, SAMPLES } from "./report.js";
import { firstOf, type Series } from "./series.js";
import { sizesOf } from "./sizes.js";

/** Pairs as examples. */
export interface EncodedPairs<Examples extends Series<PairExample> = Series<PairExample>> {
  readonly examples: Examples;
  readonly counts: Readonly<ExampleCounts>;
}

/** What `lorikeet data` says of pairs. */
export function buildPairReport(
  codec: TextCodec,
  encoded: EncodedPairs,
  split: ReportParts["split"],
  options: ReportParts["options"],
): DataReport {
  const { examples, counts } = encoded;
  const { tokens, partner } = sizesOf(examples);
  return {
    ...countsReport({ encoded, split, options, lengths: Int32Array.from([tokens, partner].flatMap((lengths) => Array.from(lengths))) }),
    forms: { "anchor-positive": counts.rows },
    supervisedTokens: examples.length,
    samples: firstOf(examples, SAMPLES).map(({ source, ids, partner }) => ({
      file: source.file,
      line: source.line,
      tokens: ids.length + (partner?.ids.length ?? 0),
      segments: [{ text: codec.decode(Array.from(ids)), supervised: false }],
      tells: codec.decode(Array.from(partner?.ids ?? [])),
    })),
    notes: [
      ...repetitionNotes(examples),
      ...(split.heldOut.length > 0 ? [] : ["Nothing can be held out for validation: give a file of its own with --valid."]),
    ],
  };
}

function repetitionNotes(examples: Series<PairExample>): string[] {
  const texts = new Distinct();
  const [positivesOf, anchorsOf] = [new Companions(), new Companions()];
  let equal = 0;
  for (const { ids, partner } of examples) {
    const [anchor, positive] = [texts.number(fingerprintOf(ids)), texts.number(fingerprintOf(partner?.ids ?? []))];
    if (anchor === positive) equal++;
    positivesOf.add(anchor, positive);
    anchorsOf.add(positive, anchor);
  }
  const notes: string[] = [];
  const [anchors, positives] = [positivesOf.several, anchorsOf.several];
  if (anchors > 0) notes.push(`Anchors with several positives: ${anchors}. None of these counts as a wrong one.`);
  if (positives > 0) notes.push(`Positives of several anchors: ${positives}. They are a wrong one for none of these.`);
  if (equal > 0) notes.push(`Pairs that are the same text twice, as the model reads them: ${equal}. They teach nothing of their own.`);
  return notes;
}
