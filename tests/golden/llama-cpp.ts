// Runs llama.cpp, by way of node-llama-cpp 3.22 (no dependency of this project).
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

type Input = [token: number, options: { readonly generateNext: { readonly logits: true } }];

interface Sequence {
  controlledEvaluate(input: readonly Input[]): Promise<readonly { readonly next: { readonly logits: ReadonlyMap<number, number> } }[]>;
}

interface Model {
  createContext(options: Readonly<Record<string, unknown>>): Promise<{ getSequence(): Sequence; dispose(): Promise<void> }>;
  tokenize(text: string, specialTokens?: boolean, options?: "trimLeadingSpace"): number[];
  readonly vocabularyType: string;
  dispose(): Promise<void>;
}

interface LlamaPackage {
  getLlama(options: Readonly<Record<string, unknown>>): Promise<{
    loadModel(options: { readonly modelPath: string; readonly vocabOnly?: boolean }): Promise<Model>;
  }>;
}

/** Logits after each of some token ids, [T, V], of a model in a GGUF file, with an adapter in another one or without. */
export type Evaluate = (modelPath: string, ids: readonly number[], adapterPath?: string) => Promise<Float32Array>;

async function open(folder: string) {
  const address = pathToFileURL(join(resolve(folder), "node-llama-cpp", "dist", "index.js")).href;
  const { getLlama }: LlamaPackage = await import(address);
  return await getLlama({ gpu: false, build: "never", skipDownload: true, maxThreads: 1, logLevel: "error" });
}

/**
 * Ids of texts by the tokenizer in a GGUF file.
 *
 * @param special whether control tokens that stand in a text count
 */
export async function tokenizeByLlamaCpp(
  folder: string,
  modelPath: string,
  texts: readonly string[],
  special: boolean,
): Promise<number[][]> {
  const model = await (await open(folder)).loadModel({ modelPath: resolve(modelPath), vocabOnly: true });
  const ids = texts.map((text) => model.tokenize(text, special));
  await model.dispose();
  return ids;
}

/** @param folder of node_modules */
export async function openLlamaCpp(folder: string): Promise<Evaluate> {
  const llama = await open(folder);
  return async (modelPath, ids, adapterPath) => {
    const model = await llama.loadModel({ modelPath: resolve(modelPath) });
    const context = await model.createContext({
      contextSize: 64,
      batchSize: 64,
      flashAttention: false,
      // Keys and values in half precision, the default, would be off by 1e-3.
      experimentalKvCacheKeyType: "F32",
      experimentalKvCacheValueType: "F32",
      ...(adapterPath === undefined ? {} : { lora: { adapters: [{ filePath: resolve(adapterPath), scale: 1 }] } }),
    });
    const evaluated = await context.getSequence().controlledEvaluate(ids.map((id): Input => [id, { generateNext: { logits: true } }]));
    await context.dispose();
    await model.dispose();
    return Float32Array.from(evaluated.flatMap(({ next }) => [...next.logits].sort(([a], [b]) => a - b).map(([, logit]) => logit)));
  };
}

/** Float32 numbers as they stand in a golden. */
export const base64 = (values: Float32Array): string => Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64");
