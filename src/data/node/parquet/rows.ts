import { type ChildProcess, fork } from "node:child_process";
import { fstatSync } from "node:fs";
import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { InputError, RunError } from "../../../errors.js";
import type { Located } from "../../json-lines.js";
import { damaged } from "./damaged.js";
import type { FromDecoder, ToDecode, ToDecoder } from "./protocol.js";

/** How often it is looked whether the decoder comes forward. */
const LOOK_MILLISECONDS = 250;
/** Looks without any progress after which a file is given up: half a minute of a machine that has time for this process. */
const PATIENCE = 120;
/** The exit code of a process that V8 ended for want of memory, where that is no signal. */
const ABORTED = 134;
/**
 * What the decoder's objects may take: some for any file, as much more as a small one unpacks to at the very most, and as often the size
 * of a large one as text is ever packed.
 */
const HEAP = { least: 256, small: { times: 256, most: 768 }, times: 16, most: 8192 } as const;

/**
 * The rows of a Parquet file, as `decodeParquet` gives them, out of a process of its own: damaged run lengths can keep the decoder busy for
 * ever, or fill the memory in one step, with which V8 ends all threads of a process. A page is a step, and pages are small, so that a long
 * one tells such a file.
 *
 * @param patience looks without progress, a quarter of a second each
 * @throws InputError where the file is damaged, or holds what cannot be read.
 */
export async function* parquetRows(file: ToDecode, patience = PATIENCE): AsyncGenerator<Located> {
  const decoder = fork(fileURLToPath(new URL("./decoder.js", import.meta.url)), [JSON.stringify(file)], {
    execArgv: [`--max-old-space-size=${await heapOf(file)}`],
    serialization: "advanced",
    stdio: ["pipe", "ignore", "ignore", "ipc", ...(file.descriptor === undefined ? [] : [file.descriptor])],
  });
  try {
    for (;;) {
      const answer = await next(decoder, file, patience);
      if (answer.type === "failed") throw answer.isInput ? new InputError(answer.message) : new RunError(answer.message);
      if (answer.type === "end") return;
      yield* answer.rows;
    }
  } finally {
    decoder.kill("SIGKILL");
  }
}

/** Megabytes. */
async function heapOf(file: ToDecode): Promise<number> {
  const { size } = file.descriptor === undefined ? await stat(file.path) : fstatSync(file.descriptor);
  const megabytes = size / 2 ** 20;
  return Math.ceil(Math.min(HEAP.most, HEAP.least + Math.min(HEAP.small.most, HEAP.small.times * megabytes) + HEAP.times * megabytes));
}

/** Asks for rows and waits for them. Looks are counted by this thread's timer, which stands still with the machine. */
async function next(decoder: ChildProcess, file: ToDecode, patience: number): Promise<Exclude<FromDecoder, { type: "progress" }>> {
  let looks = 0;
  let watch: NodeJS.Timeout | undefined;
  let forget = () => {};
  try {
    return await new Promise((resolve, reject) => {
      const onMessage = (message: FromDecoder) => {
        looks = 0;
        if (message.type !== "progress") resolve(message);
      };
      const onError = (error: Error) => reject(new RunError(`${file.name}: cannot be read: no process starts (${error.message}).`));
      const onExit = (code: number | null, signal: string | null) => {
        const isFull = signal !== null || code === ABORTED;
        reject(isFull ? damaged(file, "it unpacks to more than memory holds") : new RunError(`${file.name}: its reader ended (${code}).`));
      };
      decoder.on("message", onMessage).on("error", onError).on("exit", onExit);
      forget = () => decoder.off("message", onMessage).off("error", onError).off("exit", onExit);
      watch = setInterval(() => {
        if (++looks >= patience) reject(damaged(file, "one of its pages does not come to an end"));
      }, LOOK_MILLISECONDS);
      decoder.send({ type: "next" } satisfies ToDecoder);
    });
  } finally {
    clearInterval(watch);
    forget();
  }
}
