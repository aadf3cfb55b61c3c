import type { Env, InferenceSession, InferenceSessionFactory, Tensor, TensorConstructor } from "onnxruntime-common";
import { type Engine, type EngineSession, type HostTensor, hostTensor, type SessionSettings } from "../engine.js";
import { sessionConfig } from "../session-config.js";

/**
 * A build of `onnxruntime-web`, imported by the application: `onnxruntime-web/webgpu` (WebGPU and WASM) or
 * `onnxruntime-web/wasm`, which is smaller. It is handed in, so that the package stays an optional peer and a bundler
 * packs one build.
 */
export interface WebRuntime {
  readonly InferenceSession: InferenceSessionFactory;
  readonly Tensor: TensorConstructor;
  readonly env: Env;
}

export interface WebEngineOptions {
  /** Files that external weights point into, by name: their bytes, or where to fetch them. The heap of WASM ends at 4 GB. */
  readonly files?: ReadonlyMap<string, Uint8Array | Blob | string>;
}

/** ONNX Runtime in a browser: WASM for target "cpu", and WebGPU. */
export function webEngine(runtime: WebRuntime, { files = new Map() }: WebEngineOptions = {}): Engine {
  return {
    version: `onnxruntime-web ${runtime.env.versions.web ?? runtime.env.versions.common}`,
    async createSession(model, settings) {
      // One pool of threads serves all sessions: this counts until the first session is made.
      if (settings.threads !== undefined) runtime.env.wasm.numThreads = settings.threads;
      return wrap(runtime, await runtime.InferenceSession.create(model, sessionOptions(settings, files)));
    },
  };
}

function sessionOptions(
  settings: SessionSettings,
  files: ReadonlyMap<string, Uint8Array | Blob | string>,
): InferenceSession.SessionOptions {
  if (settings.profile !== undefined) throw new Error("a browser has no file for a profile; profile the same graph in Node");
  const { graphOptimizationLevel, ...extra } = sessionConfig(settings);
  return {
    executionProviders: settings.target === "webgpu" ? ["webgpu"] : ["wasm"],
    graphOptimizationLevel,
    logSeverityLevel: 3,
    externalData: [...files].map(([path, data]) => ({ path, data })),
    extra,
  };
}

function wrap(runtime: WebRuntime, session: InferenceSession): EngineSession {
  return {
    async run(feeds, into = {}) {
      const inputs = Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toEngine(runtime, tensor)]));
      const results = await session.run(inputs);
      // The engine's memory is the WASM heap: what it is given for outputs on the host it does not write.
      return Object.fromEntries(
        Object.entries(results).map(([name, tensor]) => [name, copied(hostTensor(name, tensor), into[name])] as const),
      );
    },
    endProfiling: () => session.endProfiling(),
    release: () => session.release(),
  };
}

function copied(result: HostTensor, target: HostTensor | undefined): HostTensor {
  if (target === undefined) return result;
  if (result.data instanceof Float32Array && target.data instanceof Float32Array) target.data.set(result.data);
  else if (result.data instanceof BigInt64Array && target.data instanceof BigInt64Array) target.data.set(result.data);
  else throw new Error("the memory given for an output is of another type than the output");
  return target;
}

function toEngine({ Tensor }: WebRuntime, { data, dims }: HostTensor): Tensor {
  return data instanceof Float32Array ? new Tensor("float32", data, dims) : new Tensor("int64", data, dims);
}
