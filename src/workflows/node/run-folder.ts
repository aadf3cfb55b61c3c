import { appendFile, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../../errors.js";
import { makeFolder } from "../../files/node/make-folder.js";
import { errorCode, explainWriteFailure, writeFileAtomic } from "../../weights/node/atomic-file.js";

/** Where a run keeps its files, all in the folder that --out names. */
export interface RunFolder {
  readonly path: string;
  /** The adapter with the lowest validation loss: the one to use. */
  readonly adapter: string;
  /** The adapter of the last update. */
  readonly last: string;
  /** The model that the adapters belong to, where its frozen weights are not the checkpoint's. */
  readonly base: string;
  /** The model that a run made which trains all weights. */
  readonly model: string;
  readonly checkpoint: string;
  readonly metrics: string;
  readonly options: string;
  readonly reportPage: string;
  readonly reportData: string;
}

export function runFolder(path: string): RunFolder {
  return {
    path,
    adapter: join(path, "adapter"),
    last: join(path, "last"),
    base: join(path, "base"),
    model: join(path, "model"),
    checkpoint: join(path, "checkpoint.safetensors"),
    metrics: join(path, "metrics.jsonl"),
    options: join(path, "run.yaml"),
    reportPage: join(path, "report.html"),
    reportData: join(path, "report.json"),
  };
}

/**
 * Finds out whether a run can begin or go on in a folder, and writes nothing. A run that is there is never overwritten.
 *
 * @throws InputError where the folder holds another run, or none to resume.
 */
export async function checkRunFolder(path: string, resume: boolean): Promise<RunFolder> {
  const folder = runFolder(path);
  const hasRun = await exists(folder.checkpoint);
  if (resume && !hasRun) throw new InputError(`${path}: there is no checkpoint to resume (${folder.checkpoint}). Start without --resume.`);
  if (!resume && hasRun) {
    throw new InputError(`${path} holds a run already. Go on with it by --resume, or give another folder to --out.`);
  }
  if (!resume) await refuseOccupied(folder);
  return folder;
}

/** Nothing that a run would write may be there but what one that ended before its first checkpoint leaves: its options and metrics. */
async function refuseOccupied(folder: RunFolder): Promise<void> {
  const results = [folder.adapter, folder.last, folder.model, folder.reportPage, folder.reportData];
  const foreign = (await exists(folder.options)) ? [] : [folder.metrics, folder.base];
  for (const path of [...results, ...foreign]) {
    if (await exists(path))
      throw new InputError(`${path} is there already, and the run would write over it. Give another folder to --out.`);
  }
}

/** Makes the folder of a run, and takes out the metrics of a run that ended before its first checkpoint (see `checkRunFolder`). */
export async function makeRunFolder(folder: RunFolder, resume: boolean): Promise<void> {
  try {
    await makeFolder(folder.path);
  } catch (error) {
    if (errorCode(error) === "EEXIST")
      throw new InputError(`${folder.path} is a file, not a folder. Give another folder to --out.`, { cause: error });
    throw explainWriteFailure(folder.path, error);
  }
  if (!resume) await rm(folder.metrics, { force: true });
}

/** Writes the file of the run's options (see `runOptionsText`). */
export async function writeOptions(folder: RunFolder, text: string): Promise<void> {
  await writeFileAtomic(folder.options, text);
}

/** One line of the metrics file. */
export async function appendMetric(folder: RunFolder, event: unknown): Promise<void> {
  try {
    await appendFile(folder.metrics, `${JSON.stringify(event)}\n`);
  } catch (error) {
    throw explainWriteFailure(folder.metrics, error);
  }
}

/** Drops the metrics of updates and evaluations after a checkpoint: the resumed run takes them again. */
export async function truncateMetrics(
  folder: RunFolder,
  { step, evaluatedStep }: { readonly step: number; readonly evaluatedStep: number },
): Promise<void> {
  const last = (type: unknown) => (type === "evaluation" ? evaluatedStep : step);
  const kept = (await readMetrics(folder)).filter((event) => !(typeof event.step === "number" && event.step > last(event.type)));
  await writeFileAtomic(folder.metrics, kept.map((event) => `${JSON.stringify(event)}\n`).join(""));
}

/** The events of the run so far. A last line that a kill cut off is left out. */
export async function readMetrics(folder: RunFolder): Promise<Record<string, unknown>[]> {
  if (!(await exists(folder.metrics))) return [];
  const lines = (await readFile(folder.metrics, "utf8")).split("\n").filter((line) => line !== "");
  return lines.flatMap((line): Record<string, unknown>[] => {
    try {
      return [JSON.parse(line)];
    } catch {
      return [];
    }
  });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
