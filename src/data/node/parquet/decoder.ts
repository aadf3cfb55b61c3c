import { Worker } from "node:worker_threads";
import { InputError } from "../../../errors.js";
import { FileByteSource } from "../../../weights/node/file-byte-source.js";
import type { Located } from "../../json-lines.js";
import { decodeParquet } from "./decode.js";
import { descriptorSource } from "./descriptor-source.js";
import { DECODED_DESCRIPTOR, type FromDecoder, type ToDecode } from "./protocol.js";

// The program of the process that decodes.

/** Rows handed over at a time. */
const ROWS = 1000;
/** Between two words of progress. */
const QUIET_MILLISECONDS = 100;

// A page without an end keeps this thread busy: another one sees that nobody waits any more, since the input is closed then.
new Worker('require("node:fs").read(0, Buffer.alloc(1), 0, 1, null, () => process.kill(process.pid, "SIGKILL"))', { eval: true }).unref();
// They are for the process that waits, which ends this one.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {});

const file: ToDecode = JSON.parse(process.argv[2] ?? "");
let told = 0;
const tell = (message: FromDecoder) => void process.send?.(message);
const progress = () => {
  if (performance.now() - told < QUIET_MILLISECONDS) return;
  told = performance.now();
  tell({ type: "progress" });
};

async function* decode(): AsyncGenerator<Located> {
  yield* decodeParquet(
    file.descriptor === undefined ? await FileByteSource.open(file.path) : descriptorSource(file.name, DECODED_DESCRIPTOR),
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

process.on("message", () => {
  answer().then(tell, (error: unknown) =>
    tell({ type: "failed", message: error instanceof Error ? error.message : String(error), isInput: error instanceof InputError }),
  );
});
