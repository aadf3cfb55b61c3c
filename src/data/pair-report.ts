import type { TextCodec } from "../text/tokenizer.js";
import type { ExampleCounts } from "./example.js";
import { textsOf } from "./lesson.js";
import type { PairExample } from "./pair.js";
import { countsReport, type DataReport, type ReportParts, SAMPLES } from "./report.js";

/** Pairs as examples. */
export interface EncodedPairs {
  readonly examples: readonly PairExample[];
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
  return {
    ...countsReport({ encoded, split, options, lengths: examples.flatMap(textsOf).map(({ ids }) => ids.length) }),
    forms: { "anchor-positive": counts.rows },
    supervisedTokens: examples.length,
    samples: examples.slice(0, SAMPLES).map(({ source, ids, partner }) => ({
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

function repetitionNotes(examples: readonly PairExample[]): string[] {
  const positivesOf = new Map<string, Set<string>>();
  const anchorsOf = new Map<string, Set<string>>();
  const add = (map: Map<string, Set<string>>, key: string, value: string) => map.set(key, (map.get(key) ?? new Set()).add(value));
  let equal = 0;
  for (const { ids, partner } of examples) {
    const [anchor, positive] = [ids.join(), partner?.ids.join() ?? ""];
    if (anchor === positive) equal++;
    add(positivesOf, anchor, positive);
    add(anchorsOf, positive, anchor);
  }
  const several = (map: Map<string, Set<string>>) => [...map.values()].filter(({ size }) => size > 1).length;
  const notes: string[] = [];
  const [anchors, positives] = [several(positivesOf), several(anchorsOf)];
  if (anchors > 0) notes.push(`Anchors with several positives: ${anchors}. None of these counts as a wrong one.`);
  if (positives > 0) notes.push(`Positives of several anchors: ${positives}. They are a wrong one for none of these.`);
  if (equal > 0) notes.push(`Pairs that are the same text twice, as the model reads them: ${equal}. They teach nothing of their own.`);
  return notes;
}
