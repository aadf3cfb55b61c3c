import ort from "onnxruntime-node";
import { type Engine, type EngineSession, type HostTensor, hostTensor, type SessionSettings } from "../engine.js";
import { sessionConfig } from "../session-config.js";

/** ONNX Runtime in Node: the CPU and, where the machine has a driver, WebGPU. */
export const nodeEngine: Engine = {
  version: `onnxruntime-node ${ort.env.versions.node ?? ort.env.versions.common}`,
  async createSession(model, settings) {
    return wrap(await ort.InferenceSession.create(model, sessionOptions(settings)));
  },
};

function sessionOptions(settings: SessionSettings): ort.InferenceSession.SessionOptions {
  const { session, optimization, graphOptimizationLevel } = sessionConfig(settings);
  const folder = settings.weightsFolder === undefined ? {} : { model_external_initializers_file_folder_path: settings.weightsFolder };
  return {
    executionProviders: settings.target === "webgpu" ? ["webgpu"] : ["cpu"],
    graphOptimizationLevel,
    logSeverityLevel: 3,
    // Batches differ in shape: a plan of the memory for each shape costs a slow run and is seldom used again.
    enableMemPattern: false,
    ...(settings.threads === undefined ? {} : { intraOpNumThreads: settings.threads }),
    ...(settings.profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: settings.profile }),
    extra: { session: { ...session, ...folder }, optimization },
  };
}

function wrap(session: ort.InferenceSession): EngineSession {
  return {
    async run(feeds, into = {}) {
      const inputs: Record<string, ort.Tensor> = {};
      for (const [name, tensor] of Object.entries(feeds)) inputs[name] = toEngine(tensor);
      const fetches: Record<string, ort.Tensor | null> = {};
      for (const name of session.outputNames) {
        const target = into[name];
        fetches[name] = target === undefined ? null : toEngine(target);
      }
      const results = await session.run(inputs, fetches);
      return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, into[name] ?? hostTensor(name, tensor)]));
    },
    endProfiling: () => session.endProfiling(),
    release: () => session.release(),
  };
}

function toEngine({ data, dims }: HostTensor): ort.Tensor {
  return data instanceof Float32Array ? new ort.Tensor("float32", data, dims) : new ort.Tensor("int64", data, dims);
}
