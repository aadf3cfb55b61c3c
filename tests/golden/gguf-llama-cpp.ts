// Adds llama.cpp's logits to tests/golden/gguf/golden.json: those after each of `ids`. Of the models in F32: with quantised
// weights llama.cpp rounds activations too, which moves logits by 2 %. After gguf_models.py, from the repository's root, with node-llama-cpp 3.22 (no dependency of this project) in the folder of node_modules that is named:
//   npx esbuild tests/golden/gguf-llama-cpp.ts --bundle --platform=node --format=esm --outfile=bench/scratch/llama-cpp.mjs && node bench/scratch/llama-cpp.mjs NODE_MODULES
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { base64, openLlamaCpp } from "./llama-cpp.js";

const [folder = "node_modules"] = process.argv.slice(2);
const golden = JSON.parse(readFileSync("tests/golden/gguf/golden.json", "utf8"));
const evaluate = await openLlamaCpp(folder);
for (const [name, facts] of Object.entries<Record<string, unknown>>(golden.models)) {
  if (name.endsWith("-quantised")) continue;
  facts.llamaCpp = base64(await evaluate(join("tests/golden/gguf", `${name}.gguf`), golden.ids));
}
writeFileSync("tests/golden/gguf/golden.json", `${JSON.stringify(golden)}\n`);
process.exit(0); // its threads would keep the process
