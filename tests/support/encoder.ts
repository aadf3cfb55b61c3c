import { join } from "node:path";
import type { Batch } from "../../src/data/batch.js";
import { vectorFromAdapter } from "../../src/lora/adapter.js";
import { checkFit } from "../../src/lora/fit.js";
import type { AdapterLayout } from "../../src/lora/layout.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import type { ClassificationTask, ModelGraph } from "../../src/models/architecture.js";
import { readModel } from "../../src/models/index.js";
import { labelledModel } from "../../src/models/labelled-model.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { type CompileOptions, Program } from "../../src/runtime/program.js";
import { batchDimensions, sequenceFeeds } from "../../src/training/gradient-program.js";
import { hiddenStates } from "../../src/training/objectives/hidden-states.js";
import { classification } from "../../src/training/objectives/labels.js";
import type { Objective } from "../../src/training/objectives/objective.js";
import { buildSequenceGraph } from "../../src/training/sequence-graph.js";
import { type GoldenFolder, openGoldenFolder } from "./golden-folder.js";
import type { Trajectory } from "./trajectory.js";

/** Texts as transformers is fed them, in rows of equal length. */
export interface EncoderBatch {
  readonly input_ids: readonly (readonly number[])[];
  readonly attention_mask: readonly (readonly number[])[];
  readonly token_type_ids: readonly (readonly number[])[];
  /** A class for each text. */
  readonly sequenceLabels: readonly number[];
  /** A class for each token, −100 where it has none. */
  readonly tokenLabels: readonly (readonly number[])[];
}

interface TaskFacts {
  readonly sum: number;
  readonly trajectory: Trajectory;
}

/** golden.json of an encoder; tests/golden/README.md says what stands in it. */
interface EncoderFacts {
  readonly batches: readonly [EncoderBatch, EncoderBatch];
  /** The texts of the first batch with their padding in front. */
  readonly paddedLeft: EncoderBatch;
  readonly sequence: TaskFacts;
  readonly token: TaskFacts;
}

/** A tiny encoder, with what transformers and PEFT computed of it. */
export type EncoderGolden = GoldenFolder<ModelGraph, EncoderFacts>;

/** Reads the folder of an encoder that tests/golden/encoders.py wrote. */
export const loadEncoder = (name: string): Promise<EncoderGolden> => openGoldenFolder(name, readModel);

/** The texts alone, row by row as they are; nothing is learned of them. */
export function textsOf({ input_ids, attention_mask, token_type_ids }: EncoderBatch): Batch {
  const [batch, tokens] = [input_ids.length, input_ids[0]?.length ?? 0];
  const positions = attention_mask.map((row) => row.map((real, t) => real * row.slice(0, t).reduce((sum, one) => sum + one, 0)));
  const whole = (rows: readonly (readonly number[])[]) => BigInt64Array.from(rows.flat(), BigInt);
  return {
    batch,
    tokens,
    ids: whole(input_ids),
    positions: whole(positions),
    tokenTypes: whole(token_type_ids),
    segments: Float32Array.from(attention_mask.flat()),
    supervisedRows: new BigInt64Array(1),
    targets: new BigInt64Array(1),
    weights: new Float32Array(1),
    supervisedCount: 0,
    exampleTokens: attention_mask.flat().reduce((sum, real) => sum + real, 0),
    longest: Math.max(...attention_mask.map((row) => row.reduce((sum, real) => sum + real, 0))),
  };
}

/** The texts of a batch with what is learned of them: a class for each text at its first token, or for some of its tokens. */
export function taughtTexts(texts: EncoderBatch, task: ClassificationTask): Batch {
  const { attention_mask, sequenceLabels, tokenLabels } = texts;
  const width = attention_mask[0]?.length ?? 0;
  const ofTexts = () => attention_mask.map((row, b) => [b * width + row.indexOf(1), sequenceLabels[b] ?? 0] as const);
  const ofTokens = () => tokenLabels.flat().flatMap((label, row) => (label < 0 ? [] : [[row, label] as const]));
  const places = task === "sequence" ? ofTexts() : ofTokens();
  return {
    ...textsOf(texts),
    supervisedRows: BigInt64Array.from(places, ([row]) => BigInt(row)),
    targets: BigInt64Array.from(places, ([, label]) => BigInt(label)),
    weights: new Float32Array(places.length).fill(1),
    supervisedCount: places.length,
  };
}

/** A task of an encoder, with the adapter and the head that PEFT saved for it. */
export interface EncoderTask {
  readonly model: ModelGraph;
  readonly objective: Objective;
  readonly layout: AdapterLayout;
  readonly vector: Float32Array;
  readonly facts: TaskFacts;
}

export async function loadTask({ folder, model, facts }: EncoderGolden, task: ClassificationTask): Promise<EncoderTask> {
  const adapter = await readAdapterFolder(join(folder, `${task}-adapter`));
  const labelled = labelledModel(model, task);
  const head = model.classificationHead(task, 3);
  checkFit(adapter, labelled.linearGroups.flat(), folder, { head: head.parameters });
  const objective = classification(head);
  return { model: labelled, objective, ...vectorFromAdapter(adapter, labelled), facts: facts[task] };
}

/** Hidden states of the tokens that are no padding, one after the other [N, C]. */
export async function statesOf(model: ModelGraph, texts: EncoderBatch, compile: CompileOptions, maxTokens?: number): Promise<Float32Array> {
  const batch = textsOf(texts);
  const graph = buildSequenceGraph({ model, objective: hiddenStates, maxTokens: maxTokens ?? batch.tokens });
  graph.graph.output("hidden", graph.hidden);
  const program = await Program.compile(graph.graph, nodeEngine, compile);
  const { hidden } = await program.run(sequenceFeeds(batch, model), batchDimensions(batch));
  await program.release();
  const values = Float32Array.from(hidden?.data ?? [], Number);
  const width = values.length / batch.segments.length;
  const real = [...batch.segments.keys()].filter((row) => batch.segments[row] === 1);
  return Float32Array.from(real.flatMap((row) => [...values.subarray(row * width, (row + 1) * width)]));
}
