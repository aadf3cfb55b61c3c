import { buildDataReport } from "../../data/report.js";
import type { DataReport } from "../api.js";
import { dataSet, inCode, parseOptions } from "../options.js";
import { describeModel } from "./open-model.js";
import { encodeRun, longestExample, readRunRows } from "./run-data.js";
import type { WorkerContext } from "./worker/context.js";

/** The work of `inspectData`, in its worker: just what a training run would do with the same files. */
export async function runInspectData(options: unknown, { signal, emit }: WorkerContext): Promise<DataReport> {
  const settings = parseOptions(dataSet, options, inCode);
  const rows = await readRunRows(settings);
  const notices: string[] = [];
  const { codec, model } = await describeModel(settings.model, {
    signal,
    onProgress: emit,
    onNotice: (notice) => notices.push(notice),
  });
  signal.throwIfAborted();
  const { maxPositions } = model.dimensions;
  const { train, validation, encoded, validationNotes } = encodeRun(codec, rows, settings, maxPositions);
  const report = buildDataReport(
    codec,
    encoded,
    { train, heldOut: validation },
    {
      file: settings.data,
      format: rows.data.format,
      maxLength: longestExample(settings, maxPositions),
      overflow: settings.overflow,
    },
  );
  return { ...report, notes: [...report.notes, ...validationNotes, ...notices] };
}
