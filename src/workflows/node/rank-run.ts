import { join } from "node:path";
import { makeFolder } from "../../files/node/make-folder.js";
import { type Factors, spectrumOf } from "../../lora/spectrum.js";
import { explainWriteFailure, writeFileAtomic } from "../../weights/node/atomic-file.js";
import { readMatrix } from "../../weights/node/read-matrix.js";
import { npyFile } from "../../weights/npy.js";
import type { Progress, RankResult } from "../api.js";
import { inCode, parseOptions, rankSet } from "../options.js";
import { breathe, type WorkerContext } from "./worker/context.js";

/** The work of `rank`, in its worker: the singular values of a large matrix take a while. */
export async function runRank(options: unknown, { signal, emit }: WorkerContext): Promise<RankResult> {
  const { file, tensor, best, out } = parseOptions(rankSet, options, inCode);
  const matrix = await readMatrix(file, tensor);
  emit({ task: `finding ${Math.min(matrix.rows, matrix.columns)} singular values`, done: 0, unit: "items" } satisfies Progress);
  await breathe();
  signal.throwIfAborted();
  const { factors, ...spectrum } = spectrumOf(matrix, best);
  const found = { file, ...(tensor === undefined ? {} : { tensor }), ...spectrum };
  if (factors === undefined) return found;
  const { rows, columns } = matrix;
  const lines = { rank: factors.rank, b: linesOf(factors.b, factors.rank), c: linesOf(factors.c, columns) };
  if (out === undefined) return { ...found, factors: lines };
  return { ...found, factors: lines, files: await writeFactors(out, factors, rows, columns) };
}

async function writeFactors(folder: string, { rank, b, c }: Factors, rows: number, columns: number): Promise<string[]> {
  const files = { b: join(folder, "B.npy"), c: join(folder, "C.npy") };
  await makeFolder(folder).catch((error: unknown) => {
    throw explainWriteFailure(folder, error);
  });
  await writeFileAtomic(files.b, npyFile({ rows, columns: rank, values: b }));
  await writeFileAtomic(files.c, npyFile({ rows: rank, columns, values: c }));
  return [files.b, files.c];
}

const linesOf = (values: Float64Array, width: number): number[][] =>
  Array.from({ length: values.length / width }, (_, row) => [...values.subarray(row * width, (row + 1) * width)]);
