import { encodeLabelled, type LabelledExample } from "../../src/data/labelled-example.js";
import type { LabelledRow } from "../../src/data/labelled-row.js";
import { longestRow } from "../../src/data/packing.js";
import { readModel } from "../../src/models/index.js";
import { labelledModel } from "../../src/models/labelled-model.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { LossProgram } from "../../src/training/loss-program.js";
import { meanStates } from "../../src/training/objectives/mean-states.js";
import { describeModelAs, mapModel } from "../../src/workflows/node/open-model.js";
import { predictLabels } from "../../src/workflows/node/predict-labels.js";
import { fitLinearProbe, probabilities } from "./linear-probe.js";
import type { Mail } from "./spam.js";

const BATCH = 16;

/** What a logistic regression on frozen, mean-pooled embeddings says of each mail: the usual cheap classifier. */
export async function linearProbe(
  model: string,
  train: readonly Mail[],
  test: readonly Mail[],
  maxLength: number,
): Promise<Mail["label"][]> {
  const described = await describeModelAs((config) => labelledModel(readModel(config), "token"), model, {});
  const opened = await mapModel(described, { target: "cpu" });
  const encode = (mails: readonly Mail[]): readonly LabelledExample[] => {
    const rows = mails.map(({ text }, index): LabelledRow => {
      return { kind: "text", text, textPair: undefined, label: undefined, source: { file: "mails", line: index + 1 } };
    });
    const none = { targets: new Int32Array(1), weights: new Float32Array(1).fill(1) };
    return encodeLabelled(described.codec, rows, () => none, { reads: "first", maxLength, overflow: "cut" }).examples;
  };
  const learned = { model: opened.model, objective: meanStates };
  const program = await LossProgram.compile(nodeEngine, { ...learned, maxTokens: longestRow(maxLength) }, opened.compile);
  const embed = async (mails: readonly Mail[]) =>
    (await predictLabels(program, encode(mails), new Float32Array(), BATCH, async () => {})).outputs.map(ofLengthOne);
  const [features, asked] = [await embed(train), await embed(test)];
  await program.release();
  const classes = train.map(({ label }) => Number(label === "spam"));
  const probe = fitLinearProbe({ features: Float32Array.from(features.flatMap((row) => [...row])), classes, classCount: 2 }, STRENGTH);
  return asked.map((row) => ((probabilities(probe, row)[1] ?? 0) > 0.5 ? "spam" : "ham"));
}

/** A weak penalty, C of scikit-learn's logistic regression: embeddings of length one are close together. */
const STRENGTH = 10;

function ofLengthOne(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}
