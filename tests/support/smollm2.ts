import { resolveModel } from "../../src/hub/node/resolve-model.js";

let resolved: Promise<string> | undefined;

/** The path of SmolLM2-135M-Instruct's GGUF, fetched into the cache on first use. */
export function smollm2Path(): Promise<string> {
  resolved ??= resolveModel("smollm2-135m").then((files) => files.path);
  return resolved;
}
