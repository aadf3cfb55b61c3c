// Writes tests/golden/gguf/text.json. `tokenizers`: of each in tests/golden/text that has a name in GGUF the digest of the metadata as
// Lorikeet writes them, and the places in texts.json of texts to which llama.cpp gives other ids than Python's tokenizers. `chat`: the
// digests of tests/golden/tiny-chat merged with its adapter, from the folder and from the GGUF, in several types, with llama.cpp's ids of
// the golden's texts, its greedy answer to the golden's prompt and, in 32 bits, its logits after the last token; `apart` is the answer
// with base and adapter in files of their own. From the repository's root, as gguf-llama-cpp.ts:
//   npx esbuild tests/golden/gguf-llama-cpp-text.ts --bundle --platform=node --format=esm --packages=external --outfile=bench/scratch/text.mjs && node bench/scratch/text.mjs NODE_MODULES
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { encodeGgufHeader } from "../../src/interchange/gguf/header.js";
import { writeGguf } from "../../src/interchange/gguf/node/write-gguf.js";
import { runExport } from "../../src/workflows/node/export-run.js";
import { runMerge } from "../../src/workflows/node/merge-run.js";
import { relativeError } from "../support/compare.js";
import { tokenizerEntries, tokenizerKinds } from "../support/gguf-text.js";
import { openLlamaCpp, tokenizeByLlamaCpp } from "./llama-cpp.js";

const ANSWER = 12;

const [modules = "node_modules"] = process.argv.slice(2);
const json = (path: string) => JSON.parse(readFileSync(join("tests/golden", path), "utf8"));
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const scratch = mkdtempSync(join(tmpdir(), "gguf-text-"));

const tokenizers: Record<string, unknown> = {};
for (const kind of tokenizerKinds) {
  const entries = await tokenizerEntries(kind, join("tests/golden/text/tokenizers", kind));
  const path = join(scratch, `${kind}.gguf`);
  await writeGguf(path, entries, []);
  const ids = await tokenizeByLlamaCpp(modules, path, json("text/tokenizers/texts.json").texts, true);
  const python: number[][] = json(`text/tokenizers/${kind}.json`).ids;
  const others = python.flatMap((want, index) => (String(want) === String(ids[index]) ? [] : [index]));
  tokenizers[kind] = { sha256: sha256(encodeGgufHeader(entries, []).header), others };
  process.stdout.write(`${kind}: ${others.length} of ${python.length} texts have other ids\n`);
}

const evaluate = await openLlamaCpp(modules);
const { texts, prompt, adapted } = json("tiny-chat/golden.json");
const model = resolve("tests/golden/tiny-chat");
const adapter = join(model, "adapter");
const context = { signal: new AbortController().signal, emit: () => undefined };

/** Greedy tokens after the prompt, and the logits after each of its tokens. */
async function answer(path: string, adapterPath?: string) {
  const ids: number[] = [...prompt];
  let first: Float32Array | undefined;
  while (ids.length < prompt.length + ANSWER) {
    const logits = await evaluate(path, ids, adapterPath);
    first ??= logits;
    const last = logits.slice(-logits.length / ids.length);
    ids.push(last.indexOf(last.reduce((a, b) => Math.max(a, b))));
  }
  return { answer: ids.slice(prompt.length), logits: first ?? new Float32Array() };
}

const adapterPath = join(scratch, "adapter.gguf");
await runExport({ model, adapter, to: "gguf", out: adapterPath }, context);
const apart = await answer(join(model, "tiny-chat.gguf"), adapterPath);
const chat: Record<string, unknown> = { apart: apart.answer };
process.stdout.write(`apart: ${String(apart.answer) === String(adapted.answer) ? "PEFT's answer" : apart.answer}\n`);
for (const [base, dtype] of [
  ["folder", "f32"],
  ["folder", "f16"],
  ["folder", "q8_0"],
  ["gguf", "f32"],
  ["gguf", "q8_0"],
] as const) {
  const out = join(scratch, `${base}-${dtype}.gguf`);
  await runMerge({ model: base === "folder" ? model : join(model, "tiny-chat.gguf"), adapter, out, dtype }, context);
  const merged = await answer(out);
  const error = relativeError(merged.logits, apart.logits);
  chat[`${base} ${dtype}`] = {
    sha256: sha256(readFileSync(out)),
    ids: await tokenizeByLlamaCpp(modules, out, texts, true),
    answer: merged.answer,
    error,
  };
  process.stdout.write(`${base} ${dtype}: ${error.toExponential(1)} ${merged.answer}\n`);
}
rmSync(scratch, { recursive: true });
writeFileSync("tests/golden/gguf/text.json", `${JSON.stringify({ tokenizers, chat })}\n`);
process.exit(0); // its threads would keep the process
