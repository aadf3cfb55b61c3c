import ort from "onnxruntime-node";
import type { Engine, EngineSession, HostData, HostTensor, SessionSettings } from "../engine.js";

/** ONNX Runtime in Node: the CPU and, where the machine has a driver, WebGPU. */
export const nodeEngine: Engine = {
  version: `onnxruntime-node ${ort.env.versions.node ?? ort.env.versions.common}`,
  async createSession(model, settings) {
    return wrap(await ort.InferenceSession.create(model, sessionOptions(settings)));
  },
};

function sessionOptions(settings: SessionSettings): ort.InferenceSession.SessionOptions {
  const session: Record<string, string> = {
    // Packed copies of the weights would double the memory and gain nothing at training sizes.
    disable_prepacking: "1",
  };
  if (settings.weightsFolder !== undefined) session.model_external_initializers_file_folder_path = settings.weightsFolder;
  if (settings.refuseFallback) session.disable_cpu_ep_fallback = "1";
  return {
    executionProviders: settings.target === "webgpu" ? ["webgpu"] : ["cpu"],
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
    ...(settings.threads === undefined ? {} : { intraOpNumThreads: settings.threads }),
    ...(settings.profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: settings.profile }),
    extra: {
      session,
      // These two would merge recomputed nodes with the originals, and keep a float32 copy of every converted weight.
      optimization: { disable_specified_optimizers: "CommonSubexpressionElimination;ConstantFolding" },
    },
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
      return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, into[name] ?? fromEngine(name, tensor)]));
    },
    endProfiling: () => session.endProfiling(),
    release: () => session.release(),
  };
}

function toEngine({ data, dims }: HostTensor): ort.Tensor {
  return data instanceof Float32Array ? new ort.Tensor("float32", data, dims) : new ort.Tensor("int64", data, dims);
}

function fromEngine(name: string, tensor: ort.Tensor): HostTensor {
  const data = tensor.data;
  if (data instanceof Float32Array || data instanceof BigInt64Array) return { data: data satisfies HostData, dims: tensor.dims };
  throw new Error(`output "${name}" is ${tensor.type}; programs return float32 and int64 alone`);
}
