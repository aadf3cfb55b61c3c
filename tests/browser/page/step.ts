import type { Target } from "../../../src/graph/op.js";
import type { StoredWeight } from "../../../src/runtime/emit.js";
import { type WebRuntime, webEngine } from "../../../src/runtime/web/engine.js";
import { seededLlama } from "../../support/seeded-llama.js";
import { trainingStep } from "../../support/training-step.js";

export interface PageResult {
  readonly engine: string;
  readonly loss: number;
  readonly gradient: readonly number[];
}

const WEIGHTS_FILE = "weights.bin";

/** One training step of the seeded Llama in this page, its weights in a file beside the model as a browser fetches them. */
export async function stepInPage(runtime: WebRuntime, target: Target): Promise<PageResult> {
  runtime.env.wasm.wasmPaths = new URL("/engine/", import.meta.url).href;
  const llama = seededLlama();
  const { weights, bytes } = packed(llama.model.weights.keys(), llama.weights);
  const engine = webEngine(runtime, { files: new Map([[WEIGHTS_FILE, bytes]]) });
  const { loss, gradient } = await trainingStep(engine, { ...llama, weights }, { target, refuseFallback: target === "webgpu" });
  return { engine: engine.version, loss, gradient: [...gradient] };
}

/** Weights in memory, moved into one file. */
function packed(names: Iterable<string>, inline: (name: string) => StoredWeight) {
  const places = new Map<string, StoredWeight>();
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const name of names) {
    const { dtype, shape, data } = inline(name);
    if (!(data instanceof Uint8Array)) throw new Error(`${name} is not in memory`);
    places.set(name, { dtype, shape, data: { file: WEIGHTS_FILE, offset, byteLength: data.byteLength } });
    parts.push(data);
    offset += data.byteLength;
  }
  const bytes = new Uint8Array(offset);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return {
    bytes,
    weights: (name: string): StoredWeight => {
      const place = places.get(name);
      if (place === undefined) throw new Error(`${name} is not packed`);
      return place;
    },
  };
}
