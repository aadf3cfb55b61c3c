import { parentPort, workerData } from "node:worker_threads";
import { InputError } from "../../../errors.js";
import { FileByteSource } from "../../../weights/node/file-byte-source.js";
import type { Located } from "../../json-lines.js";
import { decodeParquet } from "./decode.js";
import { descriptorSource } from "./descriptor-source.js";
import type { FromDecoder, ToDecode } from "./protocol.js";

/** Rows handed over at a time. */
const ROWS = 1000;
/** Between two words of progress. */
const QUIET_MILLISECONDS = 100;

const file: ToDecode = workerData;
let told = 0;
const tell = (message: FromDecoder) => parentPort?.postMessage(message);
const progress = () => {
  if (performance.now() - told < QUIET_MILLISECONDS) return;
  told = performance.now();
  tell({ type: "progress" });
};

async function* decode(): AsyncGenerator<Located> {
  yield* decodeParquet(
    file.descriptor === undefined ? await FileByteSource.open(file.path) : descriptorSource(file.name, file.descriptor),
    progress,
  );
}

const rows = decode();

async function answer(): Promise<FromDecoder> {
  const some: Located[] = [];
  while (some.length < ROWS) {
    const { value, done } = await rows.next();
    if (done === true) return some.length > 0 ? { type: "rows", rows: some } : { type: "end" };
    some.push(value);
  }
  return { type: "rows", rows: some };
}

parentPort?.on("message", () => {
  answer().then(tell, (error: unknown) =>
    tell({ type: "failed", message: error instanceof Error ? error.message : String(error), isInput: error instanceof InputError }),
  );
});
