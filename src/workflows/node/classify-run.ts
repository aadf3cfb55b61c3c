import { performance } from "node:perf_hooks";
import { type LabelledExample, labelEncoder, type RowTargets } from "../../data/labelled-example.js";
import type { LabelledRow } from "../../data/labelled-row.js";
import { shelveExamples } from "../../data/node/shelf.js";
import { longestRow } from "../../data/packing.js";
import { type Series, select } from "../../data/series.js";
import { longestText } from "../../data/sizes.js";
import { InputError } from "../../errors.js";
import { type ClassMeasures, largestAt, measuresOf, rowsOf, softmaxOf, type ValueMeasures } from "../../evaluation/labels/measures.js";
import type { Adapter, Labelling } from "../../lora/adapter.js";
import { checkFit } from "../../lora/fit.js";
import { inferenceAdapter } from "../../lora/inference.js";
import { readAdapterFolder } from "../../lora/node/adapter-folder.js";
import { runnableLayers } from "../../lora/tables.js";
import type { ModelGraph } from "../../models/architecture.js";
import { readModel } from "../../models/index.js";
import { labelledModel } from "../../models/labelled-model.js";
import { nodeEngine } from "../../runtime/node/engine.js";
import { LossProgram } from "../../training/loss-program.js";
import type { Classified, ClassifyResult, TextToLabel } from "../api.js";
import { type ClassifySettings, classifySet, inCode, parseOptions } from "../options.js";
import { findAdapter } from "./adapter-place.js";
import { weightsOf } from "./applied-adapter.js";
import { askingPrecision, targetOf } from "./device.js";
import { type LabelTaskName, placeOf, readLabelledRows, targetsOf } from "./label-data.js";
import { graphTask, labelObjective, namedLabels, TRAINED_MODULES } from "./label-head.js";
import { type DescribedModel, describeModelAs, mapModel } from "./open-model.js";
import { predictLabels } from "./predict-labels.js";
import { encodeShelved, type PassOptions } from "./row-pass.js";
import { breathe, type WorkerContext } from "./worker/context.js";

/** What labelling a file depends on. */
type LabelSettings = Pick<
  ClassifySettings,
  "model" | "adapter" | "text" | "data" | "columns" | "limit" | "batchSize" | "maxLength" | "precision" | "device" | "threads"
>;

export interface ClassifyRequest {
  readonly options: unknown;
  readonly texts?: readonly TextToLabel[] | undefined;
}

/** The work of `classify`, in its worker. */
export async function runClassify({ options, texts }: ClassifyRequest, context: WorkerContext): Promise<ClassifyResult> {
  const started = performance.now();
  const settings = parseOptions(classifySet, options, inCode);
  const { labelling, examples, outputs, measures, notes } = await labelRows(settings, texts, context);
  const { task, labels } = labelling;
  const isLabelled = measures !== undefined;
  return {
    model: settings.model,
    adapter: settings.adapter,
    task,
    labels: task === "regression" ? [] : labels,
    rows: Array.from(examples, (example, index) => classified(labelling, example, outputs[index] ?? new Float32Array(), isLabelled)),
    ...(measures === undefined ? {} : { metrics: measures.metrics }),
    ...(measures?.kind === "classes" ? { confusion: measures.confusion } : {}),
    notes,
    seconds: (performance.now() - started) / 1000,
  };
}

/** Rows, and what a head says of them. */
export interface LabelledRows {
  readonly labelling: Labelling;
  readonly examples: Series<LabelledExample>;
  readonly outputs: readonly Float32Array[];
  /** How that compares with the rows' own labels; undefined where a row has none. */
  readonly measures: ClassMeasures | ValueMeasures | undefined;
  readonly notes: readonly string[];
}

/** Labels rows. Files are read before the model, and its description before its weights. */
export async function labelRows(
  settings: LabelSettings,
  texts: readonly TextToLabel[] | undefined,
  context: WorkerContext,
): Promise<LabelledRows> {
  const adapter = await readAdapterFolder(await findAdapter(settings.adapter, context));
  const task = taskOf(adapter, settings.adapter);
  const notices: string[] = [];
  const opening = { signal: context.signal, onProgress: context.emit, onNotice: (notice: string) => notices.push(notice) };
  const all = await rowsToLabel(settings, task, texts, opening);
  const { limit = all.length } = settings;
  const rows = select(
    all,
    Int32Array.from({ length: Math.min(all.length, limit) }, (_, index) => index),
  );
  const described = await describeModelAs((config) => labelledModel(readModel(config), graphTask(task)), settings.model, opening);
  const labelling = labellingOf(adapter, task, described);
  const head = described.model.classificationHead(graphTask(task), labelling.labels.length);
  checkFit(adapter, runnableLayers(described.model, adapter.config.method), settings.model, {
    model: described.model,
    head: head.parameters,
  });

  let isLabelled = true;
  for (const row of rows) isLabelled &&= (row.kind === "words" ? row.labels : row.label) !== undefined;
  const { examples, notes } = await encoded(rows, described, { labelling, reads: placeOf(head), isLabelled }, settings, opening);
  const device = { target: targetOf(settings.device), threads: settings.threads, precision: await askingPrecision(settings) };
  const opened = await mapModel(described, device, opening);
  const { layout, vector } = await inferenceAdapter(adapter, opened.model, weightsOf(opened));
  const maxTokens = longestRow(longestText(examples));
  const learned = { model: opened.model, objective: labelObjective(task, head) };
  const program = await LossProgram.compile(nodeEngine, { ...learned, layout, maxTokens }, opened.compile);
  try {
    const { outputs } = await predictLabels(program, examples, vector, settings.batchSize, async (done) => {
      context.emit({ task: "labelling", done, total: examples.length, unit: "items" });
      await breathe();
      context.signal.throwIfAborted();
    });
    const measures = isLabelled ? measuresOf(labelling, examples, outputs) : undefined;
    return { labelling, examples, outputs, measures, notes: [...notices, ...notes] };
  } finally {
    await program.release();
  }
}

/** The task of an adapter: as its file says, or as its kind and the size of its head do. */
function taskOf({ config, labelling, trained = [] }: Adapter, directory: string): LabelTaskName {
  if (labelling !== undefined) return labelling.task;
  if (config.taskType === "TOKEN_CLS") return "token-classification";
  if (config.taskType === "SEQ_CLS") return outputsOf(trained) === 1 ? "regression" : "classification";
  if (config.taskType === "FEATURE_EXTRACTION")
    throw new InputError(`${directory} is an adapter without a head: it turns texts into vectors. Ask it with \`lorikeet embed\`.`);
  throw new InputError(
    `${directory} is an adapter without a head: it writes text. Ask it with \`lorikeet generate\`, or train one with --task classification.`,
  );
}

/** The outputs of a head: the rows of its last layer, of which none is wider. */
const outputsOf = (trained: NonNullable<Adapter["trained"]>): number =>
  trained.findLast(({ name }) => TRAINED_MODULES.some((module) => name.startsWith(`${module}.`)))?.shape[0] ?? 0;

/** What the outputs stand for: as the adapter's file says, else by the model's names, else by number as in transformers. */
function labellingOf({ labelling, trained = [] }: Adapter, task: LabelTaskName, { config }: DescribedModel<ModelGraph>): Labelling {
  if (labelling !== undefined) return labelling;
  const count = outputsOf(trained);
  const named = namedLabels(config);
  const labels = named?.length === count ? named : Array.from({ length: count }, (_, index) => `LABEL_${index}`);
  return { task, labels };
}

async function rowsToLabel(
  { data, text, columns }: LabelSettings,
  task: LabelTaskName,
  texts: readonly TextToLabel[] = [],
  pass: PassOptions = {},
): Promise<Series<LabelledRow>> {
  if (data !== undefined) return (await readLabelledRows(data, task, { labels: "optional" }, { columns }, pass)).rows;
  const given = text === undefined ? texts : [text];
  if (given.length === 0)
    throw new InputError("There is no text to label. Give one, a file of them with --data, or lines on standard input.");
  return given.map((one, index): LabelledRow => {
    const source = { file: "the texts given", line: index + 1 };
    const [first, second] = typeof one === "string" ? [one, undefined] : one;
    if (task !== "token-classification") return { kind: "text", text: first, textPair: second, label: undefined, source };
    return { kind: "words", words: first.split(/\s+/).filter((word) => word !== ""), labels: undefined, source };
  });
}

/** How rows are read for a head. */
interface HeadReading {
  readonly labelling: Labelling;
  readonly reads: "first" | "last";
  /** Whether each row says what it is. */
  readonly isLabelled: boolean;
}

async function encoded(
  rows: Series<LabelledRow>,
  { codec, model }: DescribedModel<ModelGraph>,
  { labelling, reads, isLabelled }: HeadReading,
  { maxLength }: LabelSettings,
  pass: PassOptions,
): Promise<{ readonly examples: Series<LabelledExample>; readonly notes: readonly string[] }> {
  const targets = isLabelled ? targetsOf(rows, labelling, new Float32Array(labelling.labels.length).fill(1)) : unknown;
  const encoding = { reads, maxLength: Math.min(maxLength, model.dimensions.maxPositions), overflow: "cut" } as const;
  const shelved = shelveExamples<LabelledExample, LabelledRow>(rows, (row) => ({ row, source: row.source }));
  const { examples, counts } = await encodeShelved(rows, labelEncoder(codec, targets, encoding, shelved), pass);
  if (examples.length === 0) throw new InputError("There is no text to label: all of them are empty.");
  const notes: readonly (readonly [number, string])[] = [
    [counts.cut, `are longer than ${encoding.maxLength} tokens: their beginnings alone are read`],
    [counts.droppedEmpty, "are empty and left out"],
  ];
  return { examples, notes: notes.filter(([count]) => count > 0).map(([count, words]) => `${count} of ${rows.length} texts ${words}.`) };

  function unknown(row: LabelledRow): RowTargets {
    const count = row.kind === "words" ? row.words.length : 1;
    return {
      targets: labelling.task === "regression" ? new Float32Array(count) : new Int32Array(count),
      weights: new Float32Array(count).fill(1),
    };
  }
}

/** What the head says of a row, beside what is right where that is known. */
function classified({ task, labels }: Labelling, example: LabelledExample, outputs: Float32Array, isLabelled: boolean): Classified {
  const { row, words, targets } = example;
  const told = rowsOf(outputs, labels.length).map((scores, place) => {
    const probabilities = softmaxOf(scores);
    const best = largestAt(scores);
    const expected = isLabelled ? { expected: labels[targets[place] ?? 0] ?? "" } : {};
    return { label: labels[best] ?? "", probability: probabilities[best] ?? 0, probabilities, ...expected };
  });
  if (row.kind === "words") {
    const said = told.map(({ probabilities: _, ...one }, place) => ({ word: row.words[words[place] ?? 0] ?? "", ...one }));
    return { kind: "words", line: row.source.line, words: said };
  }
  const of = { line: row.source.line, text: row.text, ...(row.textPair === undefined ? {} : { textPair: row.textPair }) };
  if (task === "regression") return { kind: "value", ...of, value: outputs[0] ?? 0, ...(isLabelled ? { expected: targets[0] ?? 0 } : {}) };
  return { kind: "label", ...of, ...(told[0] ?? { label: "", probability: 0, probabilities: [] }) };
}
