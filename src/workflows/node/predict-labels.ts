import { measuringBatches, weightOf } from "../../data/batch.js";
import type { LabelledExample } from "../../data/labelled-example.js";
import type { Series } from "../../data/series.js";
import type { LossProgram } from "../../training/loss-program.js";

/** What a head says of examples. */
export interface LabelPredictions {
  /** Mean over all labels, by their weights. */
  readonly loss: number;
  /** For each example in the order given, its outputs [places, K], row-major. */
  readonly outputs: readonly Float32Array[];
}

/** Runs a head over examples, those of about one length together. */
export async function predictLabels(
  program: LossProgram,
  examples: Series<LabelledExample>,
  trainables: Float32Array,
  batchSize: number,
  breathe: (done: number) => Promise<void>,
): Promise<LabelPredictions> {
  const outputs = new Array<Float32Array>(examples.length).fill(new Float32Array());
  const sum = { loss: 0, weight: 0 };
  let done = 0;
  for (const { batch, indexes, counts } of measuringBatches(examples, batchSize)) {
    const found = await program.predict(batch, trainables);
    found.losses.forEach((loss, place) => {
      sum.loss += loss * (batch.weights[place] ?? 0);
    });
    sum.weight += weightOf(batch);
    let start = 0;
    for (const [at, index] of indexes.entries()) {
      const end = start + (counts[at] ?? 0) * found.columns;
      outputs[index] = found.outputs.slice(start, end);
      start = end;
    }
    done += indexes.length;
    await breathe(done);
  }
  return { loss: sum.loss / sum.weight, outputs };
}
