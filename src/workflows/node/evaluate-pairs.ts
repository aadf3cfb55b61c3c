import { longestRow } from "../../data/packing.js";
import type { PairExample, PairRow } from "../../data/pair.js";
import type { Series } from "../../data/series.js";
import { longestText } from "../../data/sizes.js";
import { InputError } from "../../errors.js";
import type { RankedPairs } from "../../evaluation/pair-ranking.js";
import { type Sample, shareChange } from "../../evaluation/trade-off.js";
import { type InferenceAdapter, inferenceAdapter } from "../../lora/inference.js";
import { nodeEngine } from "../../runtime/node/engine.js";
import { LossProgram } from "../../training/loss-program.js";
import { embeddingPairs } from "../../training/objectives/embedding-pairs.js";
import type { Comparison } from "../api.js";
import type { EvaluateSettings } from "../options.js";
import { weightsOf } from "./applied-adapter.js";
import { askingPrecision, targetOf } from "./device.js";
import { readEmbeddingAdapter } from "./embed-run.js";
import { describeEmbedding } from "./embedded-text.js";
import type { Measured } from "./measured.js";
import { mapModel } from "./open-model.js";
import { encodePairs } from "./pair-data.js";
import { rankExamples, textKey } from "./rank-pairs.js";
import { countNotes } from "./run-data.js";
import { SAMPLES } from "./training/target.js";
import { breathe, type WorkerContext } from "./worker/context.js";

/** How anchors find their positives among those of a file, without and with an adapter. */
export async function evaluatePairs(rows: Series<PairRow>, settings: EvaluateSettings, context: WorkerContext): Promise<Measured> {
  const notes: string[] = [];
  const opening = { signal: context.signal, onProgress: context.emit, onNotice: (notice: string) => notes.push(notice) };
  const { described, embedding } = await describeEmbedding(settings.model, opening);
  const stored = settings.adapter === undefined ? undefined : await readEmbeddingAdapter(settings.adapter, described, context);
  const maxLength = Math.min(settings.maxLength, described.model.dimensions.maxPositions);
  const { overflow } = settings;
  const encoded = await encodePairs({ codec: described.codec, pooling: embedding.pooling }, rows, { maxLength, overflow }, opening);
  const { examples } = encoded;
  if (examples.length < 2) throw new InputError(`${settings.data}: a positive is looked for among others: give two pairs at least.`);
  notes.push(...countNotes(settings.data, encoded));
  const device = { target: targetOf(settings.device), threads: settings.threads, precision: await askingPrecision(settings) };
  const opened = await mapModel(described, device, opening);
  const adapter = stored === undefined ? undefined : await inferenceAdapter(stored, opened.model, weightsOf(opened));
  const learned = { model: opened.model, objective: embeddingPairs(embedding.pooling) };
  const maxTokens = longestRow(longestText(examples));

  const ranked = async (beside: InferenceAdapter | undefined): Promise<RankedPairs> => {
    const program = await LossProgram.compile(nodeEngine, { ...learned, layout: beside?.layout, maxTokens }, opened.compile);
    const task = beside === undefined ? "measuring the model" : "measuring with the adapter";
    try {
      return await rankExamples(program, examples, beside?.vector ?? new Float32Array(), settings.batchSize, async (done) => {
        context.emit({ task, done, total: 2 * examples.length, unit: "items" });
        await breathe();
        context.signal.throwIfAborted();
      });
    } finally {
      await program.release();
    }
  };
  const base = await ranked(undefined);
  const adapted = adapter === undefined ? undefined : await ranked(adapter);
  return {
    comparisons: comparisonsOf(base, adapted),
    samples: samplesOf(base, adapted, examples),
    notes,
    sentence: sentenceOf(base, adapted),
  };
}

function comparisonsOf(base: RankedPairs, adapted: RankedPairs | undefined): Comparison[] {
  const isFirst = ({ anchors }: RankedPairs) => anchors.map(({ rank }) => rank === 1);
  const compare = (metric: string, unit: Comparison["unit"], of: (pairs: RankedPairs) => number): Comparison => {
    const common = { metric, side: "target", unit, n: base.anchors.length, base: of(base) } as const;
    return adapted === undefined ? common : { ...common, adapted: of(adapted) };
  };
  const accuracy = compare("accuracy@1", "share", ({ ranking }) => ranking.accuracy);
  return [
    compare("loss", "nats", ({ ranking }) => ranking.loss),
    adapted === undefined ? accuracy : { ...accuracy, change: shareChange(isFirst(base), isFirst(adapted)) },
    compare("mean reciprocal rank", "score", ({ ranking }) => ranking.meanReciprocalRank),
  ];
}

/** Anchors whose nearest positive changed come first. */
function samplesOf(base: RankedPairs, adapted: RankedPairs | undefined, examples: Series<PairExample>): Measured["samples"] {
  const texts = new Map<string, string>();
  const own = new Map<string, string>();
  for (const { ids, partner, row } of examples) {
    texts.set(textKey(ids), row.anchor).set(textKey(partner?.ids), row.positive);
    own.set(textKey(ids), textKey(partner?.ids));
  }
  const positive = (key: string | undefined) => texts.get(key ?? "") ?? "";
  const sampled = base.anchors.map(({ key, nearest }, at): Omit<Sample, "after"> & { after?: string } => {
    const after = adapted?.anchors[at]?.nearest;
    return {
      prompt: texts.get(key) ?? "",
      expected: positive(own.get(key)),
      before: positive(nearest),
      ...(adapted === undefined ? {} : { after: positive(after) }),
    };
  });
  const isTurned = ({ before, after }: (typeof sampled)[number]) => before !== after;
  return [...sampled.filter(isTurned), ...sampled.filter((sample) => !isTurned(sample))].slice(0, SAMPLES);
}

function sentenceOf({ ranking: base }: RankedPairs, adapted: RankedPairs | undefined): string {
  const { accuracy, anchors, positives, meanReciprocalRank } = adapted?.ranking ?? base;
  const first = (share: number) => Math.round(share * anchors);
  const [without, rank] =
    adapted === undefined
      ? ["", ""]
      : [` (${first(base.accuracy)} without the adapter)`, ` (${base.meanReciprocalRank.toFixed(3)} without the adapter)`];
  return `${first(accuracy)} of ${anchors} anchors find a positive of their own first among ${positives}${without}; mean reciprocal rank ${meanReciprocalRank.toFixed(3)}${rank}.`;
}
