// The peer's side of the work `generate`: llama.cpp through node-llama-cpp, which the bench does not depend on.
import { readTask, timeAnswer } from "./answer-task.js";

interface Sequence {
  evaluate(ids: readonly number[], options: { readonly temperature: number; readonly yieldEogToken: boolean }): AsyncIterable<number>;
  clearHistory(): Promise<void>;
}

interface Context {
  getSequence(): Sequence;
}

interface Model {
  createContext(options: { readonly contextSize: number; readonly batchSize: number; readonly threads: number }): Promise<Context>;
}

interface Llama {
  loadModel(options: { readonly modelPath: string }): Promise<Model>;
}

interface LlamaPackage {
  getLlama(options: Readonly<Record<string, unknown>>): Promise<Llama>;
}

const { model, prompt, newTokens, threads } = readTask();
const packageName: string = "node-llama-cpp"; // a plain string: the compiler must not look for its types
const { getLlama }: LlamaPackage = await import(packageName);
const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, maxThreads: threads });
const loaded = await llama.loadModel({ modelPath: model });
const context = await loaded.createContext({ contextSize: prompt.length + newTokens + 8, batchSize: prompt.length, threads });
const sequence = context.getSequence();
const answer = () => sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true });

await timeAnswer(answer(), 4);
await sequence.clearHistory();
console.log(JSON.stringify(await timeAnswer(answer(), newTokens)));
process.exit(0); // its threads would keep the process
