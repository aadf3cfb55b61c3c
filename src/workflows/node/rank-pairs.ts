import { measuringBatches } from "../../data/batch.js";
import { textsOf } from "../../data/lesson.js";
import type { PairExample } from "../../data/pair.js";
import type { Series } from "../../data/series.js";
import { type EmbeddedPair, type RankedPairs, rankPairs } from "../../evaluation/pair-ranking.js";
import type { LossProgram } from "../../training/loss-program.js";
import { PAIR_SCALE } from "../../training/objectives/embedding-pairs.js";

/**
 * Vectors of both texts of each pair, and how the one finds the other.
 *
 * @param program of the objective `embeddingPairs`
 * @param breathe lets other work of the thread happen between batches; told how many texts are done
 */
export async function rankExamples(
  program: LossProgram,
  pairs: Series<PairExample>,
  trainables: Float32Array,
  batchSize: number,
  breathe: (done: number) => Promise<void>,
): Promise<RankedPairs> {
  const texts = Array.from(pairs).flatMap(textsOf); // each vector is compared with every other: there are not many
  const vectors = new Array<Float32Array>(texts.length);
  let done = 0;
  for (const { batch, indexes } of measuringBatches(texts, batchSize)) {
    const { outputs, columns } = await program.predict(batch, trainables);
    for (const [at, index] of indexes.entries()) vectors[index] = outputs.slice(at * columns, (at + 1) * columns);
    done += indexes.length;
    await breathe(done);
  }
  const embedded = (at: number) => ({ key: textKey(texts[at]?.ids), vector: vectors[at] ?? new Float32Array() });
  return rankPairs(
    Array.from({ length: pairs.length }, (_, pair): EmbeddedPair => ({ anchor: embedded(2 * pair), positive: embedded(2 * pair + 1) })),
    PAIR_SCALE,
  );
}

/** Texts that the model reads as the same have the same key. */
export const textKey = (ids: Int32Array | undefined): string => ids?.join() ?? "";
