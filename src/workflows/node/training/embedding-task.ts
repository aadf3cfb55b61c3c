import type { PairExample } from "../../../data/pair.js";
import { toBareModel } from "../../../lora/bare-model.js";
import { nodeEngine } from "../../../runtime/node/engine.js";
import { LossProgram } from "../../../training/loss-program.js";
import { embeddingPairs } from "../../../training/objectives/embedding-pairs.js";
import type { Task } from "../../../training/sequence-graph.js";
import type { DoneEvent } from "../../api.js";
import { describeEmbedding } from "../embedded-text.js";
import { encodePairRun, readPairRun } from "../pair-data.js";
import { rankExamples } from "../rank-pairs.js";
import { breathe } from "../worker/context.js";
import { BY_RESUMING, measureSaved } from "./measure-saved.js";
import type { MeasureContext, RunTask, TaskReader, TrainedRun } from "./run-task.js";

/** Pairs that score an adapter at the end: each is a candidate for every other. */
const MOST_SCORING = 1_000;

/** To bring the vectors of two texts together: only an adapter is trained. */
export const readEmbeddingTask: TaskReader = async (settings, options) => {
  const rows = await readPairRun(settings, options);
  const { described, embedding } = await describeEmbedding(settings.model, options);
  const { model, codec } = described;
  const { maxPositions } = model.dimensions;
  const { notes, ...data } = await encodePairRun(rows, settings, { codec, pooling: embedding.pooling, maxPositions }, options);
  const learned: Task = { model, objective: embeddingPairs(embedding.pooling) };
  const task: RunTask<PairExample> = {
    learned,
    data,
    notes,
    config: { taskType: "FEATURE_EXTRACTION", trainedModules: [] },
    labelling: undefined,
    saved: (adapter) => toBareModel(adapter, model),
    mostScoring: MOST_SCORING,
    fresh: [],
    async validate(examples, { program, trainables, batchSize, breathe }) {
      const { ranking } = await rankExamples(program, examples, trainables, batchSize, breathe);
      const { loss, accuracy, meanReciprocalRank } = ranking;
      return { loss, metrics: { accuracy, meanReciprocalRank } };
    },
    measure: (run, context) => measurePairs({ ...run, learned }, context),
  };
  return { described, task };
};

/** Texts measured together. */
const BATCH = 16;

/** Ranks held-out pairs with the adapter off and on. */
async function measurePairs(
  run: TrainedRun<PairExample> & { readonly learned: Task },
  context: MeasureContext,
): Promise<Pick<DoneEvent, "target" | "ranking"> | undefined> {
  const { prepared, examples, learned, state, frozen } = run;
  const { opened, layout, maxTokens } = prepared;
  const { emit, signal } = context;
  if (examples.length === 0) {
    emit({
      type: "warning",
      message: "Nothing was held out, so what was learned cannot be measured. Give pairs of their own with --valid.",
    });
    return undefined;
  }
  const ranked = async (adapter: { layout: typeof layout; frozen: Float32Array } | undefined, words: string) => {
    const program = await LossProgram.compile(nodeEngine, { ...learned, ...adapter, maxTokens }, opened.compile);
    try {
      const { ranking } = await rankExamples(program, examples, state.best ?? state.trainables, BATCH, async (done) => {
        emit({ type: "progress", task: words, done, total: 2 * examples.length, unit: "items" });
        await breathe();
        signal.throwIfAborted();
      });
      return ranking;
    } finally {
      await program.release();
    }
  };
  const measure = async () => {
    const before = await ranked(undefined, "measuring without the adapter");
    const after = await ranked({ layout, frozen }, "measuring with the adapter");
    return { target: { before: before.accuracy, after: after.accuracy }, ranking: { before, after } };
  };
  return measureSaved(measure, context, BY_RESUMING);
}
