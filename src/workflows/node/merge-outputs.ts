import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Batch, measuringBatches } from "../../data/batch.js";
import { encodeRows } from "../../data/example.js";
import { longestRow } from "../../data/packing.js";
import { recogniseRow } from "../../data/recognise.js";
import { firstOf } from "../../data/series.js";
import { InputError } from "../../errors.js";
import { createDivergenceMeter } from "../../evaluation/output-change.js";
import type { ScoredSequence } from "../../evaluation/subject.js";
import type { InferenceAdapter } from "../../lora/inference.js";
import { isLanguageModel, type LanguageModelGraph } from "../../models/architecture.js";
import { readLanguageModel } from "../../models/index.js";
import { nodeEngine } from "../../runtime/node/engine.js";
import type { CompileOptions } from "../../runtime/program.js";
import { LossProgram } from "../../training/loss-program.js";
import { nextLogits } from "../../training/objectives/next-logits.js";
import { elementCount } from "../../weights/checkpoint.js";
import { checkRoom } from "../../weights/node/disk-room.js";
import { isMappedInPlace, mapWeights } from "../../weights/node/mapped-weights.js";
import type { MergeResult } from "../api.js";
import { appliedTo } from "./applied-adapter.js";
import type { MergeWork } from "./merge-work.js";
import { compileOptions, compileWithWeights } from "./model-weights.js";
import { type DescribedModel, type DescribedWeights, describeWeights, withText } from "./open-model.js";
import { readProbe } from "./probe.js";
import { readShelvedRows } from "./row-pass.js";
import { breathe } from "./worker/context.js";

/** `--measure general`: the texts of the general probe. */
const GENERAL = "general";
/** Tokens that are predicted: the mean of so many is known well enough to tell a small change from a large one, and costs seconds. */
const TOKENS = 512;
/** Of one text, so that several kinds are read. */
const TOKENS_OF_TEXT = 128;

type Outputs = NonNullable<MergeResult["outputs"]>;

/** Compares what a merged file predicts with what base and adapter do, and the base alone. Made before anything is written, so that what it reads can be refused. */
export async function outputComparison(work: MergeWork, texts: string): Promise<(merged: string) => Promise<Outputs>> {
  const { model } = work.described;
  if (!isLanguageModel(model))
    throw new InputError(`A model of architecture ${model.modelType} predicts no next token: leave --measure out.`);
  const described = await withText({ ...work.described, model });
  const sequences = limited(texts === GENERAL ? await probeTexts(described) : await examplesOf(described, texts, work));
  if (sequences.length === 0)
    throw new InputError(
      `${texts}: there is no answer in it that the model could predict. Give --measure ${GENERAL}, or rows with answers.`,
    );
  return async (merged) => ({ texts, ...(await compared(work, described, merged, sequences)) });
}

async function probeTexts({ codec, model }: DescribedModel): Promise<ScoredSequence[]> {
  const { passages } = await readProbe();
  const longest = Math.min(TOKENS_OF_TEXT, model.dimensions.maxPositions);
  return passages.map((text) => {
    const ids = [...codec.startIds, ...codec.encode(text, { special: false })].slice(0, longest);
    return { ids, supervised: ids.map((_, at) => at > 0) };
  });
}

async function examplesOf({ codec, model }: DescribedModel, path: string, { context }: MergeWork): Promise<ScoredSequence[]> {
  const pass = { signal: context.signal, onProgress: context.emit };
  const { rows } = await readShelvedRows(path, recogniseRow, {}, pass);
  const { examples } = encodeRows(codec, firstOf(rows, TOKENS), { maxLength: model.dimensions.maxPositions });
  return [...examples];
}

/** The first texts, until enough tokens are predicted. */
function limited(sequences: readonly ScoredSequence[]): ScoredSequence[] {
  const some: ScoredSequence[] = [];
  let tokens = 0;
  for (const sequence of sequences) {
    if (tokens >= TOKENS) break;
    some.push(sequence);
    tokens += Array.from(sequence.supervised).filter(Boolean).length;
  }
  return some;
}

/** Logits [S, V] at the learned places of a batch. */
interface Predicting {
  predict(batch: Batch): Promise<{ readonly outputs: Float32Array; readonly columns: number }>;
  release(): Promise<void>;
}

async function compared(
  work: MergeWork,
  described: DescribedModel,
  merged: string,
  sequences: readonly ScoredSequence[],
): Promise<Omit<Outputs, "texts">> {
  const { signal, emit } = work.context;
  const maxTokens = longestRow(Math.max(...sequences.map(({ ids }) => ids.length)));
  const folder = await mkdtemp(join(tmpdir(), "lorikeet-measure-"));
  const programs: Predicting[] = [];
  const open = async (model: LanguageModelGraph, compile: CompileOptions, adapter?: InferenceAdapter): Promise<Predicting> => {
    const program = await predicting(model, compile, maxTokens, adapter);
    programs.push(program);
    return program;
  };
  try {
    const compile = await compileWithWeights(described, { target: "cpu" }, { signal, onProgress: emit });
    const whole = await open(described.model, compile, await appliedTo(described, work.adapter));
    const base = await open(described.model, compile);
    const written = await describeWeights(readLanguageModel, merged, { signal });
    const file = await open(written.model, await compileInto(folder, written, work));
    return await divergences({ whole, base, file }, sequences, work);
  } finally {
    for (const { release } of programs) await release();
    await rm(folder, { recursive: true, force: true });
  }
}

async function predicting(
  model: LanguageModelGraph,
  compile: CompileOptions,
  maxTokens: number,
  adapter: InferenceAdapter | undefined,
): Promise<Predicting> {
  const options = { model, objective: nextLogits(model), layout: adapter?.layout, maxTokens };
  const program = await LossProgram.compile(nodeEngine, options, compile);
  const vector = adapter?.vector ?? new Float32Array();
  return { predict: (batch) => program.predict(batch, vector), release: () => program.release() };
}

/** The weights of the written file as the engine maps them; what it cannot map in place is converted into a folder that goes again. */
async function compileInto(folder: string, written: DescribedWeights, { context: { signal, emit } }: MergeWork): Promise<CompileOptions> {
  const { checkpoint, model, name } = written;
  const names = [...model.weights.keys()];
  const tensors = names.flatMap((weight) => checkpoint.tensors.get(weight) ?? []);
  if (!isMappedInPlace(tensors)) {
    const bytes = tensors.reduce((sum, { shape }) => sum + 4 * (elementCount(shape) ?? 0), 0);
    await checkRoom(folder, `${name} in float32, to compare it`, bytes, "set TMPDIR (on Windows TEMP) to a folder on another disk");
  }
  const onProgress = ({ done, total }: { done: number; total: number }) =>
    emit({ task: "reading the merged model", done, total, unit: "bytes" });
  return compileOptions(await mapWeights(checkpoint, { cacheFolder: folder, names, onProgress, signal }), { target: "cpu" });
}

async function divergences(
  { whole, base, file }: Readonly<Record<"whole" | "base" | "file", Predicting>>,
  sequences: readonly ScoredSequence[],
  { context: { signal, emit } }: MergeWork,
): Promise<Omit<Outputs, "texts">> {
  const [ofFile, ofBase] = [createDivergenceMeter(), createDivergenceMeter()];
  const examples = sequences.map(({ ids, supervised }) => ({ ids: Int32Array.from(ids), supervised: Uint8Array.from(supervised, Number) }));
  let [done, tokens] = [0, 0];
  for (const { batch } of measuringBatches(examples, 1)) {
    emit({ task: "comparing predictions", done: done++, total: sequences.length, unit: "items" });
    await breathe();
    signal.throwIfAborted();
    const { outputs, columns } = await whole.predict(batch);
    ofFile.add(outputs, (await file.predict(batch)).outputs, columns);
    ofBase.add(outputs, (await base.predict(batch)).outputs, columns);
    tokens += batch.supervisedCount;
  }
  return { tokens, file: ofFile.result(), base: ofBase.result() };
}
