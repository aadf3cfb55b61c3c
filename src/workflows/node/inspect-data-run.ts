import { buildLabelledReport } from "../../data/labelled-report.js";
import { buildPairReport } from "../../data/pair-report.js";
import { buildDataReport, type ReportParts } from "../../data/report.js";
import type { DataReport } from "../api.js";
import { type DataSettings, dataSet, inCode, parseOptions } from "../options.js";
import { describeEmbedding } from "./embedded-text.js";
import { type LabelTaskName, readLabelledRun } from "./label-data.js";
import { isLabelTask } from "./label-head.js";
import { encodeLabels } from "./labelled-task.js";
import { describeModel, type OpenOptions } from "./open-model.js";
import { encodePairRun, readPairRun } from "./pair-data.js";
import { encodeRun, longestExample, readRunRows } from "./run-data.js";
import type { WorkerContext } from "./worker/context.js";

/** The work of `inspectData`, in its worker: just what a training run would do with the same files. */
export async function runInspectData(options: unknown, { signal, emit }: WorkerContext): Promise<DataReport> {
  const settings = parseOptions(dataSet, options, inCode);
  const notices: string[] = [];
  const opening = { signal, onProgress: emit, onNotice: (notice: string) => notices.push(notice) };
  const { report, furtherNotes } = await reportOf(settings, opening);
  return { ...report, notes: [...report.notes, ...furtherNotes, ...notices] };
}

interface TaskReport {
  readonly report: DataReport;
  /** What else a person should know, such as of the validation file. */
  readonly furtherNotes: readonly string[];
}

function reportOf(settings: DataSettings, opening: OpenOptions): Promise<TaskReport> {
  const { task } = settings;
  if (task === "embedding") return reportPairs(settings, opening);
  return isLabelTask(task) ? reportLabels(settings, task, opening) : reportAnswers(settings, opening);
}

async function reportAnswers(settings: DataSettings, opening: OpenOptions): Promise<TaskReport> {
  const rows = await readRunRows(settings, opening);
  const { codec, model } = await describeModel(settings.model, opening);
  opening.signal?.throwIfAborted();
  const { maxPositions } = model.dimensions;
  const { train, validation, encoded, furtherNotes } = await encodeRun(codec, rows, settings, maxPositions, opening);
  const report = buildDataReport(codec, encoded, { train, heldOut: validation }, fileOf(settings, rows.data.format, maxPositions));
  return { report, furtherNotes };
}

async function reportLabels(settings: DataSettings, task: LabelTaskName, opening: OpenOptions): Promise<TaskReport> {
  const rows = await readLabelledRun(settings, task, opening);
  const { described, labelling, data } = await encodeLabels({ ...settings, task, classWeights: { kind: "none" } }, rows, opening);
  opening.signal?.throwIfAborted();
  const { codec, model } = described;
  const { train, validation, encoded, furtherNotes } = data;
  const file = fileOf(settings, rows.data.format, model.dimensions.maxPositions);
  const labels = task === "regression" ? undefined : labelling.labels;
  return { report: buildLabelledReport(codec, encoded, { train, heldOut: validation }, file, labels), furtherNotes };
}

async function reportPairs(settings: DataSettings, opening: OpenOptions): Promise<TaskReport> {
  const rows = await readPairRun(settings, opening);
  const { described, embedding } = await describeEmbedding(settings.model, opening);
  opening.signal?.throwIfAborted();
  const { codec, model } = described;
  const { maxPositions } = model.dimensions;
  // In what batches pairs are learned is no question of the file.
  const choice = { ...settings, batchSize: Number.POSITIVE_INFINITY };
  const { train, validation, encoded, furtherNotes } = await encodePairRun(
    rows,
    choice,
    { codec, pooling: embedding.pooling, maxPositions },
    opening,
  );
  const file = fileOf(settings, rows.data.format, maxPositions);
  return { report: buildPairReport(codec, encoded, { train, heldOut: validation }, file), furtherNotes };
}

const fileOf = (settings: DataSettings, format: string, maxPositions: number): ReportParts["options"] => ({
  file: settings.data,
  format,
  maxLength: longestExample(settings, maxPositions),
  overflow: settings.overflow,
});
