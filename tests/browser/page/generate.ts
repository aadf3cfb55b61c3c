import { env, pipeline } from "@huggingface/transformers";

// What an application does with a folder of `merge --to onnx`: it is served beside the page.

env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = "/models/";
env.useBrowserCache = false;
const { wasm } = env.backends.onnx;
if (wasm === undefined) throw new Error("transformers.js has no WASM engine");
wasm.wasmPaths = { mjs: "/engine/ort-wasm-simd-threaded.asyncify.mjs", wasm: "/engine/ort-wasm-simd-threaded.asyncify.wasm" };
wasm.numThreads = 1;

/** The greedy continuation of a text by a model of the served folder. */
async function generate(model: string, text: string, tokens: number, device: "wasm" | "webgpu"): Promise<string> {
  const generator = await pipeline("text-generation", model, { device });
  const output = await generator(text, { max_new_tokens: tokens, do_sample: false, return_full_text: false });
  await generator.dispose();
  return (output as { generated_text: string }[])[0]?.generated_text ?? "";
}

Object.assign(globalThis, { generate });
