import { fstatSync } from "node:fs";
import { stat } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { InputError, RunError } from "../../../errors.js";
import type { Located } from "../../json-lines.js";
import { damaged } from "./damaged.js";
import type { FromDecoder, ToDecode, ToDecoder } from "./protocol.js";

/** How often it is looked whether the decoder comes forward. */
const LOOK_MILLISECONDS = 250;
/** Looks without any progress after which a file is given up: half a minute of a machine that has time for this process. */
const PATIENCE = 120;
/** What the decoder's objects may take: that much, and as often the file's size as text is ever packed, up to the most. */
const HEAP = { megabytes: 1024, timesTheFile: 16, most: 8192 } as const;

/**
 * The rows of a Parquet file, as `decodeParquet` gives them, out of a thread of its own: damaged run lengths can keep the decoder busy for
 * ever, or fill the memory, and only a thread can be ended. A page is a step, and pages are small, so that a long one tells such a file.
 *
 * @param patience looks without progress, a quarter of a second each
 * @throws InputError where the file is damaged, or holds what cannot be read.
 */
export async function* parquetRows(file: ToDecode, patience = PATIENCE): AsyncGenerator<Located> {
  const worker = new Worker(new URL("./decoder.js", import.meta.url), {
    execArgv: [],
    workerData: file,
    resourceLimits: { maxOldGenerationSizeMb: await heapOf(file) },
  });
  try {
    for (;;) {
      const answer = await next(worker, file, patience);
      if (answer.type === "failed") throw answer.isInput ? new InputError(answer.message) : new RunError(answer.message);
      if (answer.type === "end") return;
      yield* answer.rows;
    }
  } finally {
    await worker.terminate();
  }
}

async function heapOf(file: ToDecode): Promise<number> {
  const { size } = file.descriptor === undefined ? await stat(file.path) : fstatSync(file.descriptor);
  return Math.min(HEAP.most, Math.ceil(HEAP.megabytes + (HEAP.timesTheFile * size) / 2 ** 20));
}

/** Asks for rows and waits for them. Looks are counted by this thread's timer, which stands still with the machine. */
async function next(worker: Worker, file: ToDecode, patience: number): Promise<Exclude<FromDecoder, { type: "progress" }>> {
  let looks = 0;
  let watch: NodeJS.Timeout | undefined;
  let forget = () => {};
  try {
    return await new Promise((resolve, reject) => {
      const onMessage = (message: FromDecoder) => {
        looks = 0;
        if (message.type !== "progress") resolve(message);
      };
      const onError = (error: NodeJS.ErrnoException) => {
        const isFull = error.code === "ERR_WORKER_OUT_OF_MEMORY";
        reject(isFull ? damaged(file, "it unpacks to more than memory holds", error) : error);
      };
      const onExit = (code: number) =>
        reject(new RunError(`${file.name}: the thread that reads it ended (code ${code}). Is the memory full?`));
      worker.on("message", onMessage).on("error", onError).on("exit", onExit);
      forget = () => worker.off("message", onMessage).off("error", onError).off("exit", onExit);
      watch = setInterval(() => {
        if (++looks >= patience) reject(damaged(file, "one of its pages does not come to an end"));
      }, LOOK_MILLISECONDS);
      worker.postMessage({ type: "next" } satisfies ToDecoder);
    });
  } finally {
    clearInterval(watch);
    forget();
  }
}
