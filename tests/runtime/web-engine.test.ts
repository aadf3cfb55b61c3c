import type { InferenceSession } from "onnxruntime-common";
import { Tensor } from "onnxruntime-common";
import { expect, test } from "vitest";
import { type WebRuntime, webEngine } from "../../src/runtime/web/engine.js";

/** A runtime of one program, y = 2·x, that records how its session was made. The real one runs in tests/browser. */
function fakeRuntime() {
  const made: { options?: InferenceSession.SessionOptions } = {};
  const session = {
    run: async (feeds: Readonly<Record<string, Tensor>>) => {
      const x = feeds.x!;
      if (x.type === "int64") return { y: new Tensor("float64", Float64Array.of(1), [1]) };
      return {
        y: new Tensor(
          "float32",
          Float32Array.from(x.data as Float32Array, (value) => 2 * value),
          x.dims,
        ),
      };
    },
    endProfiling: () => {},
    release: async () => {},
  };
  const env = { versions: { common: "1", web: "1.30.0" }, wasm: {} as { numThreads?: number } };
  const create = async (_model: Uint8Array, options: InferenceSession.SessionOptions) => {
    made.options = options;
    return session;
  };
  return { runtime: { InferenceSession: { create }, Tensor, env } as unknown as WebRuntime, made, env };
}

const x = { data: Float32Array.of(1, 2), dims: [2] };

test("a session is made with the engine's settings and the files of the weights", async () => {
  const { runtime, made, env } = fakeRuntime();
  const bytes = new Uint8Array(4);
  const engine = webEngine(runtime, { files: new Map([["weights.bin", bytes]]) });
  expect(engine.version).toBe("onnxruntime-web 1.30.0");
  await engine.createSession(new Uint8Array(), { target: "webgpu", refuseFallback: true, threads: 3 });
  expect(made.options).toMatchObject({
    executionProviders: ["webgpu"],
    externalData: [{ path: "weights.bin", data: bytes }],
    extra: {
      session: { disable_prepacking: "1", set_denormal_as_zero: "1", disable_cpu_ep_fallback: "1" },
      optimization: { disable_specified_optimizers: "CommonSubexpressionElimination;ConstantFolding" },
    },
  });
  expect(env.wasm.numThreads).toBe(3);
  await engine.createSession(new Uint8Array(), { target: "cpu" });
  expect(made.options).toMatchObject({ executionProviders: ["wasm"] });
});

test("results come back fresh, or in the memory that was given", async () => {
  const session = await webEngine(fakeRuntime().runtime).createSession(new Uint8Array(), { target: "cpu" });
  expect((await session.run({ x })).y).toEqual({ data: Float32Array.of(2, 4), dims: [2] });
  const memory = new Float32Array(4);
  const { y } = await session.run({ x }, { y: { data: memory.subarray(1, 3), dims: [2] } });
  expect(memory).toEqual(Float32Array.of(0, 2, 4, 0));
  expect(y?.data.buffer).toBe(memory.buffer);
});

test("what a browser cannot give is refused: a profile, an output of another type", async () => {
  const engine = webEngine(fakeRuntime().runtime);
  await expect(engine.createSession(new Uint8Array(), { target: "cpu", profile: "p" })).rejects.toThrow(
    "a browser has no file for a profile",
  );
  const session = await engine.createSession(new Uint8Array(), { target: "cpu" });
  const ids = { data: BigInt64Array.of(1n), dims: [1] };
  await expect(session.run({ x: ids })).rejects.toThrow('output "y" is float64; programs return float32 and int64 alone');
  await expect(session.run({ x }, { y: ids })).rejects.toThrow("the memory given for an output is of another type than the output");
});
