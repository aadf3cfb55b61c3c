import type { Target } from "../graph/op.js";

/** Numbers that go into a session or come out of it, on the host. */
export type HostData = Float32Array | BigInt64Array;

export interface HostTensor {
  readonly data: HostData;
  readonly dims: readonly number[];
}

export interface EngineSession {
  /**
   * Runs once. `into` holds memory for some or all outputs, which the engine then writes in place; outputs without it
   * come back in fresh memory.
   */
  run(
    feeds: Readonly<Record<string, HostTensor>>,
    into?: Readonly<Record<string, HostTensor>>,
  ): Promise<Readonly<Record<string, HostTensor>>>;
  /** Ends profiling, where it was asked for; the profile is then complete on disk. */
  endProfiling(): void;
  release(): Promise<void>;
}

export interface SessionSettings {
  readonly target: Target;
  /** Folder of all files that the model's external tensors name. */
  readonly weightsFolder?: string | undefined;
  /**
   * Keep a copy of the weights in the order in which the engine's products read them. For a single row that is several times as
   * fast in int8; with the rows of a training batch it gains nothing, and doubles the memory.
   */
  readonly packWeights?: boolean | undefined;
  /** Threads inside an operation; the engine's choice (one per core) by default. */
  readonly threads?: number | undefined;
  /** Path prefix of a profile of every node that runs. */
  readonly profile?: string | undefined;
  /** Refuse a model of which the WebGPU provider leaves a node to the CPU. */
  readonly refuseFallback?: boolean | undefined;
}

/** ONNX Runtime behind one door: `runtime/node` and `runtime/web` each give one. */
export interface Engine {
  readonly version: string;
  createSession(model: Uint8Array<ArrayBuffer>, settings: SessionSettings): Promise<EngineSession>;
}

/** What the engine returned, as a host tensor; throws where it is of another type than programs return. */
export function hostTensor(
  name: string,
  { data, dims, type }: { readonly data: unknown; readonly dims: readonly number[]; readonly type: string },
): HostTensor {
  if (data instanceof Float32Array || data instanceof BigInt64Array) return { data, dims };
  throw new Error(`output "${name}" is ${type}; programs return float32 and int64 alone`);
}
