// Writes tests/golden/gguf/merged.json: the digests of merged models' GGUF as Lorikeet writes them, and the logits that llama.cpp
// computes with them. `adapted` are the models of tests/golden/gguf with the adapters of adapters.json folded in, `peft` folders of
// tests/golden with PEFT's, `blocks` a seeded Llama in each type of blocks; the logits are those after the last tokens (four at most). It prints how far they are from llama.cpp's with
// base and adapter apart, and from PEFT's. From the repository's root, as gguf-llama-cpp.ts:
//   npx esbuild tests/golden/gguf-llama-cpp-merged.ts --bundle --platform=node --format=esm --packages=external --outfile=bench/scratch/merged.mjs && node bench/scratch/merged.mjs NODE_MODULES
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeGguf } from "../../src/interchange/gguf/node/write-gguf.js";
import type { GgufModelFile } from "../../src/interchange/gguf/write-model.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { relativeError } from "../support/compare.js";
import { blockTypes, firstText, folderNames, mergedFolder, mergedGguf, mergedInBlocks, textLengths } from "../support/gguf-merged.js";
import { base64, openLlamaCpp } from "./llama-cpp.js";

/** Tokens whose logits are kept. */
const KEPT = 4;

const [modules = "node_modules"] = process.argv.slice(2);
const evaluate = await openLlamaCpp(modules);
const scratch = mkdtempSync(join(tmpdir(), "gguf-merged-"));
const path = join(scratch, "merged.gguf");

/** Writes a file, gives it to llama.cpp, and says what it found beside the logits that are expected. */
async function judge(what: string, file: GgufModelFile, ids: readonly number[], expected: Float32Array) {
  await writeGguf(path, file.entries, file.tensors);
  const logits = await evaluate(path, ids);
  process.stdout.write(`${what}: ${relativeError(logits, expected.subarray(0, logits.length)).toExponential(1)} ${file.notes.join(" ")}\n`);
  const last = logits.slice(-Math.min(KEPT, ids.length) * (logits.length / ids.length));
  return { sha256: createHash("sha256").update(readFileSync(path)).digest("hex"), llamaCpp: base64(last) };
}

const { ids } = JSON.parse(readFileSync("tests/golden/gguf/golden.json", "utf8"));
const adapters = JSON.parse(readFileSync("tests/golden/gguf/adapters.json", "utf8"));
const facts = { adapted: {} as Record<string, unknown>, peft: {} as Record<string, unknown>, blocks: {} as Record<string, unknown> };
for (const [name, { llamaCpp }] of Object.entries<{ llamaCpp: string }>(adapters)) {
  const { gguf, folder } = await mergedGguf(name, join("tests/golden/gguf", `${name}.gguf`));
  const apart = new Float32Array(new Uint8Array(Buffer.from(llamaCpp, "base64")).buffer);
  facts.adapted[name] = { gguf: await judge(`${name} from GGUF`, gguf, ids, apart), folder: await judge(name, folder, ids, apart) };
}
for (const name of folderNames) {
  const place = join("tests/golden", name);
  const peft = await (await openSafetensorsFile(join(place, "golden.safetensors"))).readFloat32("adapted.logits");
  facts.peft[name] = await judge(name, await mergedFolder(place), firstText(place).slice(0, textLengths[name]), peft);
}
const whole = mergedInBlocks("F32");
await writeGguf(path, whole.entries, whole.tensors);
const inFloat = await evaluate(path, ids);
for (const type of blockTypes) facts.blocks[type] = await judge(type, mergedInBlocks(type), ids, inFloat);
rmSync(scratch, { recursive: true });
writeFileSync("tests/golden/gguf/merged.json", `${JSON.stringify(facts)}\n`);
process.exit(0); // its threads would keep the process
