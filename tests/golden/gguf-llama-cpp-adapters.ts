// Writes tests/golden/gguf/adapters.json: of each model there in F32, the digest of a random adapter's GGUF as Lorikeet writes it, and
// the logits after each of `ids` (golden.json) that llama.cpp computes with model and adapter. From the repository's root, as
// gguf-llama-cpp.ts:
//   npx esbuild tests/golden/gguf-llama-cpp-adapters.ts --bundle --platform=node --format=esm --packages=external --outfile=bench/scratch/adapters.mjs && node bench/scratch/adapters.mjs NODE_MODULES
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeGguf } from "../../src/interchange/gguf/node/write-gguf.js";
import { ggufAdapter } from "../../src/interchange/gguf/write-adapter.js";
import { readLanguageModel } from "../../src/models/index.js";
import { openGguf } from "../../src/weights/node/open-checkpoint.js";
import { randomAdapter, strengths } from "../support/gguf-adapter.js";
import { base64, openLlamaCpp } from "./llama-cpp.js";

const [folder = "node_modules"] = process.argv.slice(2);
const golden = JSON.parse(readFileSync("tests/golden/gguf/golden.json", "utf8"));
const evaluate = await openLlamaCpp(folder);
const scratch = mkdtempSync(join(tmpdir(), "gguf-adapters-"));
const facts: Record<string, unknown> = {};
for (const name of Object.keys(golden.models)) {
  if (name.endsWith("-quantised")) continue;
  const modelPath = join("tests/golden/gguf", `${name}.gguf`);
  const model = readLanguageModel((await openGguf(modelPath)).config);
  const path = join(scratch, `${name}.gguf`);
  const { entries, tensors } = ggufAdapter(randomAdapter(model, strengths[name]), model, name);
  await writeGguf(path, entries, tensors);
  const logits = await evaluate(modelPath, golden.ids, path);
  facts[name] = { sha256: createHash("sha256").update(readFileSync(path)).digest("hex"), llamaCpp: base64(logits) };
}
rmSync(scratch, { recursive: true });
writeFileSync("tests/golden/gguf/adapters.json", `${JSON.stringify(facts)}\n`);
process.exit(0); // its threads would keep the process
