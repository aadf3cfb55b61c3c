import type { Batch } from "../../src/data/batch.js";
import type { LabelledTokens } from "../../src/data/lesson.js";
import type { ClassificationHead } from "../../src/models/architecture.js";
import { placeOf } from "../../src/workflows/node/label-data.js";
import { type EncoderBatch, textsOf } from "./encoder.js";

/** What the texts of a golden batch are to tell. */
export interface Told {
  readonly head: Pick<ClassificationHead, "reads">;
  readonly classWeights?: readonly number[];
  /** Values in place of classes, one a text. */
  readonly values?: readonly number[];
}

/** The texts of a golden batch with their labels, without padding. */
export function labelledExamples(texts: EncoderBatch, { head, classWeights, values }: Told): LabelledTokens[] {
  return texts.input_ids.map((row, b) => {
    const real = [...row.keys()].filter((t) => texts.attention_mask[b]?.[t] === 1);
    const ids = Int32Array.from(real, (t) => row[t] ?? 0);
    const words = real.flatMap((t, place) =>
      (texts.tokenLabels[b]?.[t] ?? -100) === -100 ? [] : [{ place, label: texts.tokenLabels[b]![t]! }],
    );
    const whole = [{ place: placeOf(head) === "last" ? ids.length - 1 : 0, label: texts.sequenceLabels[b] ?? 0 }];
    const told = head.reads === "each" ? words : whole;
    return {
      ids,
      tokenTypes: Uint8Array.from(real, (t) => texts.token_type_ids[b]?.[t] ?? 0),
      places: Int32Array.from(told, ({ place }) => place),
      targets: values === undefined ? Int32Array.from(told, ({ label }) => label) : Float32Array.of(values[b] ?? 0),
      weights: Float32Array.from(told, ({ label }) => classWeights?.[label] ?? 1),
    };
  });
}

/** A golden batch as it is, padding included, in rows of one example each. */
export function labelledBatch(texts: EncoderBatch, told: Told): Batch {
  const examples = labelledExamples(texts, told);
  const tokens = texts.input_ids[0]?.length ?? 0;
  const starts = texts.attention_mask.map((row, b) => b * tokens + row.indexOf(1));
  const places = examples.flatMap(({ places, targets, weights }, b) =>
    Array.from(places, (place, index) => ({ row: (starts[b] ?? 0) + place, target: targets[index] ?? 0, weight: weights[index] ?? 1 })),
  );
  const learnsValues = told.values !== undefined;
  return {
    ...textsOf(texts),
    supervisedRows: BigInt64Array.from(places, ({ row }) => BigInt(row)),
    targets: BigInt64Array.from(places, ({ target }) => (learnsValues ? 0n : BigInt(target))),
    ...(learnsValues ? { values: Float32Array.from(places, ({ target }) => target) } : {}),
    weights: Float32Array.from(places, ({ weight }) => weight),
    supervisedCount: places.length,
  };
}
