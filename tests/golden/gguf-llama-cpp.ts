// Adds llama.cpp's logits to tests/golden/gguf/golden.json: those after each of `ids`. Of the models in F32: with quantised
// weights llama.cpp rounds activations too, which moves logits by 2 %. After gguf_models.py, from the repository's root, with node-llama-cpp 3.22 (no dependency of this project) in the folder of node_modules that is named:
//   npx esbuild tests/golden/gguf-llama-cpp.ts --outfile=bench/scratch/llama-cpp.mjs && node bench/scratch/llama-cpp.mjs NODE_MODULES
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

type Input = [token: number, options: { readonly generateNext: { readonly logits: true } }];

interface Sequence {
  controlledEvaluate(input: readonly Input[]): Promise<readonly { readonly next: { readonly logits: ReadonlyMap<number, number> } }[]>;
}

interface LlamaPackage {
  getLlama(options: Readonly<Record<string, unknown>>): Promise<{
    loadModel(options: { readonly modelPath: string }): Promise<{
      createContext(options: Readonly<Record<string, unknown>>): Promise<{ getSequence(): Sequence; dispose(): Promise<void> }>;
      dispose(): Promise<void>;
    }>;
  }>;
}

const [folder = "node_modules"] = process.argv.slice(2);
const golden = JSON.parse(readFileSync("tests/golden/gguf/golden.json", "utf8"));
const address = pathToFileURL(join(resolve(folder), "node-llama-cpp", "dist", "index.js")).href;
const { getLlama }: LlamaPackage = await import(address);
const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, maxThreads: 1, logLevel: "error" });
for (const [name, facts] of Object.entries<Record<string, unknown>>(golden.models)) {
  if (name.endsWith("-quantised")) continue;
  const model = await llama.loadModel({ modelPath: resolve("tests/golden/gguf", `${name}.gguf`) });
  const context = await model.createContext({
    contextSize: 32,
    batchSize: 32,
    flashAttention: false,
    // Keys and values in half precision, the default, would be off by 1e-3.
    experimentalKvCacheKeyType: "F32",
    experimentalKvCacheValueType: "F32",
  });
  const evaluated = await context
    .getSequence()
    .controlledEvaluate(golden.ids.map((id: number): Input => [id, { generateNext: { logits: true } }]));
  const logits = evaluated.flatMap(({ next }) => [...next.logits].sort(([a], [b]) => a - b).map(([, logit]) => logit));
  facts.llamaCpp = Buffer.from(Float32Array.from(logits).buffer).toString("base64");
  await context.dispose();
  await model.dispose();
}
writeFileSync("tests/golden/gguf/golden.json", `${JSON.stringify(golden)}\n`);
process.exit(0); // its threads would keep the process
