import { measuringBatches } from "../data/batch.js";
import { mapped, pick } from "../data/series.js";
import { lengthsOf } from "../data/sizes.js";
import { completeBatch } from "../generation/answer-batch.js";
import type { GenerationProgram } from "../generation/generation-program.js";
import type { TextCodec } from "../text/tokenizer.js";
import type { LossProgram } from "../training/loss-program.js";
import type { ScoredSequence, Subject, TokenLoss } from "./subject.js";

export interface ModelSubjectParts {
  readonly loss: LossProgram;
  readonly generation: GenerationProgram;
  /** The adapter's flat vector; empty for a model without adapter. */
  readonly trainables: Float32Array;
  readonly codec: TextCodec;
  /** Sequences scored, and answers written, together at most; fewer where they are long. */
  readonly batchSize: number;
  /** Lets other work of the thread happen between batches. */
  readonly breathe: () => Promise<void>;
  /** Called after each batch with the number of sequences just done. */
  readonly onProgress?: ((sequences: number) => void) | undefined;
}

/** A compiled model as something to be measured. */
export function modelSubject({ loss, generation, trainables, codec, batchSize, breathe, onProgress }: ModelSubjectParts): Subject {
  return {
    async score(examples, signal) {
      const sequences = mapped(examples, asExample);
      const together = batchOf(batchSize, lengthsOf(sequences));
      const losses: TokenLoss[] = Array.from({ length: sequences.length }, () => ({ nll: 0, count: 0 }));
      for (const { batch, indexes, counts } of measuringBatches(sequences, together)) {
        signal?.throwIfAborted();
        const values = await loss.run(batch, trainables);
        let place = 0;
        for (const [position, index] of indexes.entries()) {
          const count = counts[position] ?? 0;
          losses[index] = { nll: values.subarray(place, place + count).reduce((sum, value) => sum + value, 0), count };
          place += count;
        }
        onProgress?.(indexes.length);
        await breathe();
      }
      return losses;
    },

    async complete(prompts, { maxNewTokens, signal }) {
      const lengths = Int32Array.from(prompts, ({ length }) => length);
      const texts = new Array<string>(lengths.length).fill("");
      const together = batchOf(
        batchSize,
        lengths.map((length) => length + maxNewTokens),
      );
      // Prompts of one length together: a batch is as slow as its longest.
      const order = Array.from(lengths.keys()).sort((a, b) => (lengths[a] ?? 0) - (lengths[b] ?? 0));
      const endIds = new Set(codec.endOfTurnIds);
      for (let start = 0; start < order.length; start += together) {
        const indexes = order.slice(start, start + together);
        const answers = await completeBatch(generation, pick(prompts, indexes), { maxNewTokens, endIds, signal, breathe });
        for (const [place, index] of indexes.entries()) texts[index] = codec.decode(answers[place] ?? [], { skipSpecial: true });
        onProgress?.(indexes.length);
      }
      return texts;
    },
  };
}

/** Tokens measured together: logits and scores of more would take more memory than a training step. */
const TOKENS_TOGETHER = 4096;

function batchOf(most: number, lengths: Int32Array): number {
  const longest = lengths.reduce((length, next) => Math.max(length, next), 1);
  return Math.max(1, Math.min(most, Math.floor(TOKENS_TOGETHER / longest)));
}

function asExample({ ids, supervised }: ScoredSequence): { ids: Int32Array; supervised: Uint8Array } {
  return { ids: Int32Array.from(ids), supervised: Uint8Array.from(supervised, Number) };
}
