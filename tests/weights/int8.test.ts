import type { StatsFs } from "node:fs";
import { mkdtemp, open, readdir, readFile, rm, statfs, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Int8Part } from "../../src/graph/op.js";
import type { Checkpoint } from "../../src/weights/checkpoint.js";
import {
  backwardEncoder,
  channelMoments,
  forwardEncoder,
  type Int8Encoder,
  type RoundingErrors,
  raiseColumnMaxima,
  roundingErrors,
  smoothingFactors,
} from "../../src/weights/kernels/int8.js";
import { type Int8Options, mapInt8Weights } from "../../src/weights/node/int8-weights.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { writeSafetensors } from "../../src/weights/node/write-safetensors.js";
import { golden as goldenOf } from "../support/golden.js";
import { Random } from "../support/random.js";
import { bits } from "./golden.js";

vi.mock("node:fs/promises", async (original) => {
  const actual = await original<typeof import("node:fs/promises")>();
  return { ...actual, statfs: vi.fn(actual.statfs) };
});
afterEach(() => vi.mocked(statfs).mockReset());

interface Golden {
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly x: readonly number[]; // [rows, inputs]
  readonly weight: readonly number[]; // [outputs, inputs]
  readonly inputMaxima: readonly number[];
  readonly weightMaxima: readonly number[];
  readonly mean: readonly number[];
  readonly variance: readonly number[];
  /** With alpha 0.5. */
  readonly smooth: readonly number[];
  /** With alpha 0.8. */
  readonly smoothMore: readonly number[];
  readonly forward: GoldenForward;
  readonly backward: { readonly codes: readonly number[]; readonly scales: readonly number[] };
  readonly roundingErrors: RoundingErrors;
  readonly roundingErrorsUnsmoothed: RoundingErrors;
}

interface GoldenForward {
  /** W over its scales, not rounded [inputs, outputs]. */
  readonly exact: readonly number[];
  readonly codes: readonly number[];
  readonly scales: readonly number[];
  /** What rounding every value to the nearest takes from the product with the mean input. */
  readonly bias: readonly number[];
}

/** Every number within a few last bits of float32 of what it was added up from: `size`, by default the largest wanted. */
function expectClose(got: ArrayLike<number>, want: readonly number[], size = Math.max(...want.map(Math.abs))): void {
  expect(got.length).toBe(want.length);
  for (const [index, value] of want.entries()) expect(Math.abs(got[index]! - value)).toBeLessThanOrEqual(1e-6 * size);
}

describe("rounding to 8 bits, against NumPy from the papers' formulas", () => {
  const golden = goldenOf<Golden>("weights/int8.json");
  const { inputs, outputs } = golden;
  const x = Float32Array.from(golden.x);
  const weight = Float32Array.from(golden.weight);
  const weightMaxima = new Float32Array(inputs);
  raiseColumnMaxima(weightMaxima, weight);

  /** Encoded in two pieces, as a large matrix is read. */
  function encoded(encoder: Int8Encoder): Int8Encoder {
    encoder.addRows(weight.subarray(0, 7 * inputs), 0);
    encoder.addRows(weight.subarray(7 * inputs), 7);
    return encoder;
  }

  it("largest magnitudes, means, and smoothing factors: a silent channel counts as a thousandth of the loudest", () => {
    const inputMaxima = new Float32Array(inputs);
    raiseColumnMaxima(inputMaxima, x.subarray(0, 3 * inputs));
    raiseColumnMaxima(inputMaxima, x.subarray(3 * inputs));
    expectClose(inputMaxima, golden.inputMaxima);
    expectClose(weightMaxima, golden.weightMaxima);
    expectClose(channelMoments(x, inputs).mean, golden.mean);
    expectClose(channelMoments(x, inputs).variance, golden.variance);
    expectClose(smoothingFactors(inputMaxima, weightMaxima, 0.5), golden.smooth);
    expectClose(smoothingFactors(inputMaxima, weightMaxima, 0.8), golden.smoothMore);
    expect([...smoothingFactors(new Float32Array(inputs), new Float32Array(inputs), 0.5)]).toEqual(Array(inputs).fill(1)); // nothing to tame
  });

  it("codes and scales of both directions; forward, without a mean", () => {
    const forward = encoded(
      forwardEncoder(outputs, Float32Array.from(golden.smooth), { mean: new Float64Array(inputs), variance: new Float64Array(inputs) }),
    );
    expect([...forward.codes]).toEqual(golden.forward.codes);
    expectClose(forward.scales, golden.forward.scales);
    const backward = encoded(backwardEncoder(outputs, weightMaxima));
    expect([...backward.codes]).toEqual(golden.backward.codes);
    expectClose(backward.scales, golden.backward.scales);
  });

  it("beside a mean, some values take the code on their other side, where the product's error becomes smaller", () => {
    const { exact, codes: nearest, scales, bias } = golden.forward;
    const { codes } = encoded(forwardEncoder(outputs, Float32Array.from(golden.smooth), channelMoments(x, inputs)));
    for (const [at, code] of codes.entries()) expect(Math.abs(code - exact[at]!), `code ${at}`).toBeLessThan(1); // either neighbour
    /** Of one output: what the roundings take from the product with the mean, and the square of the whole error over inputs. */
    const errorOf = (some: ArrayLike<number>, output: number) => {
      let [constant, noise] = [0, 0];
      for (let i = 0; i < inputs; i++) {
        const off = golden.smooth[i]! * scales[output]! * (exact[i * outputs + output]! - some[i * outputs + output]!);
        constant += golden.mean[i]! * off;
        noise += golden.variance[i]! * off ** 2;
      }
      return { constant, square: constant ** 2 + noise };
    };
    let [left, plain] = [0, 0];
    for (let output = 0; output < outputs; output++) {
      expect(Math.abs(errorOf(nearest, output).constant - bias[output]!)).toBeLessThan(1e-4 * Math.max(...bias.map(Math.abs)));
      expect(errorOf(codes, output).square).toBeLessThanOrEqual(errorOf(nearest, output).square * (1 + 1e-6));
      left += errorOf(codes, output).constant ** 2;
      plain += bias[output]! ** 2;
    }
    expect(left).toBeLessThan(0.3 * plain); // 16 channels give few choices; a layer's hundreds leave next to nothing
  });

  it("what rounding costs a product: an input with one scale and with one for each row, as ONNX rounds it, and the weight", () => {
    for (const [smooth, want] of [
      [golden.smooth, golden.roundingErrors],
      [Array<number>(inputs).fill(1), golden.roundingErrorsUnsmoothed],
    ] as const) {
      const got = roundingErrors(x, weight, Float32Array.from(smooth));
      expect(Math.abs(got.row / want.row - 1)).toBeLessThan(1e-4);
      expect(Math.abs(got.weight / want.weight - 1)).toBeLessThan(1e-4);
      // ONNX also rounds the zero point, which moves the two ends of the range by up to half a step.
      expect(Math.abs(got.tensor / want.tensor - 1)).toBeLessThan(0.05);
    }
  });
});

describe("the int8 form of a checkpoint in the cache", () => {
  let root: string;
  let checkpoint: Checkpoint;
  const [wide, columns] = [64, 512];
  const random = new Random(5);
  const tensors = {
    "embed.weight": { shape: [16, columns], values: random.gaussians(16 * columns) },
    "q.weight": { shape: [wide, columns], values: random.gaussians(wide * columns) },
    "k.weight": { shape: [32, columns], values: random.gaussians(32 * columns) },
    "down.weight": { shape: [columns, wide], values: random.gaussians(columns * wide) },
  } as const;
  const groups = [
    { input: "q", weights: ["q.weight", "k.weight"] },
    { input: "down", weights: ["down.weight"] },
    { input: "embed", weights: ["embed.weight"], range: "row" as const },
  ];
  /** As large everywhere: one scale is as good as many. */
  const even = Float32Array.from({ length: 128 * columns }, () => 2 * random.uniform() - 1);
  const inputs = new Map([
    ["q", even],
    ["down", even.subarray(0, 128 * wide)],
    ["embed", even],
  ]);
  /** In each row four channels are far louder than the others, in time all of them, so that nothing smooths it; a fourth of the rows is ten times as loud. */
  const hard = Float32Array.from({ length: 512 * columns }, (_, at) => {
    const [row, channel] = [Math.floor(at / columns), at % columns];
    const value = channel % 128 === Math.floor(row / 4) ? 30 * (-1) ** Math.floor(row / 4) : random.uniform() - 0.5;
    return value * (row % 4 === 0 ? 10 : 1);
  });
  let measured = 0;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "lorikeet-int8-"));
    const path = join(root, "model.safetensors");
    const entries = Object.entries(tensors).map(([name, { shape, values }]) => ({
      name,
      dtype: "F32" as const,
      shape,
      data: () => values,
    }));
    await writeSafetensors(path, entries);
    checkpoint = await openSafetensorsFile(path);
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  function map(cache: string, options: Partial<Int8Options> = {}) {
    return mapInt8Weights(checkpoint, {
      cacheFolder: join(root, cache),
      groups,
      float: ["embed.weight"],
      measureInputs: async () => {
        measured++;
        return inputs;
      },
      ...options,
    });
  }

  /** A part's bytes at its mapped place, read without the code under test. */
  async function partOf({ folder, file, int8 }: Awaited<ReturnType<typeof map>>, weight: string, name: Int8Part) {
    const { offset = 0, byteLength = 0 } = int8.get(weight)?.parts.get(name) ?? {};
    const whole = await readFile(join(folder, file));
    return whole.buffer.slice(whole.byteOffset + offset, whole.byteOffset + offset + byteLength) as ArrayBuffer;
  }

  /** x·Wᵀ of one row out of the parts in the file, as the engine would compute it with x unrounded. */
  async function productFrom(mapped: Awaited<ReturnType<typeof map>>, weight: string, x: Float32Array): Promise<Float64Array> {
    const codes = new Int8Array(await partOf(mapped, weight, "forwardCodes"));
    const [smooth, scales] = await Promise.all(
      (["smooth", "forwardScales"] as const).map(async (name) => new Float32Array(await partOf(mapped, weight, name))),
    );
    return Float64Array.from(scales!, (scale, output) => {
      let sum = 0;
      for (const [channel, value] of x.entries()) sum += value * smooth![channel]! * codes[channel * scales!.length + output]! * scale;
      return sum;
    });
  }

  it("is written once and found again; places are those of the values; the rest is float32", async () => {
    measured = 0;
    const progress: { done: number; total: number }[] = [];
    const mapped = await map("once", { onProgress: (at) => progress.push(at) });
    expect(await map("once", { onProgress: () => expect.unreachable("written twice") })).toEqual(mapped);
    expect(measured).toBe(1);
    expect(await readdir(join(root, "once"))).toEqual([mapped.file]);
    expect(progress.at(-1)).toEqual({ done: (wide + 32 + wide + 16) * columns, total: (wide + 32 + wide + 16) * columns });

    expect([...mapped.int8.keys()]).toEqual(["q.weight", "k.weight", "down.weight", "embed.weight"]);
    expect([...mapped.float.keys()]).toEqual(["embed.weight"]);
    const { offset, byteLength } = mapped.float.get("embed.weight")!;
    const whole = await readFile(join(mapped.folder, mapped.file));
    expect(bits(new Float32Array(whole.buffer.slice(whole.byteOffset + offset, whole.byteOffset + offset + byteLength)))).toEqual(
      bits(tensors["embed.weight"].values),
    );
    for (const [name, { range, shape, parts }] of mapped.int8) {
      expect(shape).toEqual(tensors[name as keyof typeof tensors].shape);
      expect(range).toBe(name === "embed.weight" ? "row" : "tensor");
      // The engine maps a tensor at a multiple of its elements' size.
      for (const { offset, dtype } of parts.values()) expect(offset % { F32: 4, I64: 8, I8: 1 }[dtype as "F32"]!).toBe(0);
      const row = random.gaussians(shape[1]);
      const want = exactProduct(tensors[name as keyof typeof tensors].values, row);
      expect(relative(await productFrom(mapped, name, row), want)).toBeLessThan(0.012); // the weight's rounding alone
      expect(relative(await productFrom(mapped, name, row), want)).toBeGreaterThan(0.001);
    }
    // Layers that read one input share its smoothing.
    expect(mapped.int8.get("q.weight")?.parts.get("smooth")).toEqual(mapped.int8.get("k.weight")?.parts.get("smooth"));
  });

  it("an input of uneven rows and loud channels gets two codes for each value; one of uneven rows alone a scale for each", async () => {
    const uneven = even.map((value, at) => value * (Math.floor(at / columns) % 4 === 0 ? 10 : 1));
    for (const [name, x, range] of [
      ["hard", hard, "fine"],
      ["uneven", uneven, "row"],
    ] as const) {
      const mapped = await map(name, { measureInputs: async () => new Map([...inputs, ["q", x]]) });
      expect([...mapped.int8].map(([weight, form]) => [weight, form.range])).toEqual([
        ["q.weight", range],
        ["k.weight", range],
        ["down.weight", "tensor"],
        ["embed.weight", "row"],
      ]);
    }
    const given = await map("given", { groups: groups.map((group) => ({ ...group, range: "fine" })) });
    for (const { range } of given.int8.values()) expect(range).toBe("fine");
  });

  it("a damaged file is written anew, and so is one of another layout", async () => {
    const { folder, file } = await map("damaged");
    const path = join(folder, file);
    const whole = await readFile(path);
    const damages: [string, () => Promise<void>][] = [
      ["cut short", () => truncate(path, whole.length - 1000)],
      ["a header of nonsense", () => overwrite(path, 8, "nonsense")],
      ["metadata of nonsense", () => overwrite(path, whole.indexOf('ranges":"') + 9, "x")],
    ];
    for (const [name, damage] of damages) {
      measured = 0;
      await damage();
      await map("damaged");
      expect(measured, name).toBe(1);
      expect(Buffer.compare(await readFile(path), whole), name).toBe(0);
    }
    // Asked for more than the file holds: it does not say that a part is missing when the engine is already at work.
    measured = 0;
    const more = await map("damaged", { float: ["embed.weight", "k.weight"] });
    expect(measured).toBe(1);
    expect([...more.float.keys()]).toEqual(["embed.weight", "k.weight"]);
    // Fewer groups are another file.
    await map("damaged", { groups: groups.slice(1) });
    expect(await readdir(folder)).toHaveLength(2);
  });

  it("stops when asked to, and leaves nothing behind", async () => {
    const controller = new AbortController();
    const stopped = map("stopped", { signal: controller.signal, onProgress: () => controller.abort() });
    await expect(stopped).rejects.toThrow("aborted");
    expect(await readdir(join(root, "stopped"))).toEqual([]);
    await expect(map("stopped", { signal: AbortSignal.abort() })).rejects.toThrow("aborted");
    expect(await readdir(join(root, "stopped"))).toEqual([]);
  });

  it("a failure to measure is told, and leaves nothing behind", async () => {
    const failing = map("failing", { measureInputs: () => Promise.reject(new Error("the engine broke")) });
    await expect(failing).rejects.toThrow("the engine broke");
    expect(await readdir(join(root, "failing"))).toEqual([]);
  });

  it("a disk that is too small is told before the work", async () => {
    vi.mocked(statfs).mockResolvedValue({ bavail: 3, bsize: 4096 } as StatsFs);
    const told = map("full", { onProgress: () => expect.unreachable("written onto a full disk") });
    await expect(told).rejects.toThrow(
      /full: the int8 form of the model needs 1 MB and 64 MB of room to spare, 1 MB are free\. Make room or choose another cache folder\./,
    );
    expect(await readdir(join(root, "full"))).toEqual([]);
  });

  async function overwrite(path: string, at: number, text: string): Promise<void> {
    const handle = await open(path, "r+");
    await handle.write(text, at);
    await handle.close();
  }
});

/** One row of x·Wᵀ in double precision. */
function exactProduct(weight: Float32Array, x: Float32Array): Float64Array {
  return Float64Array.from({ length: weight.length / x.length }, (_, output) =>
    x.reduce((sum, value, channel) => sum + value * weight[output * x.length + channel]!, 0),
  );
}

function relative(got: Float64Array, want: Float64Array): number {
  const power = (values: Float64Array) => values.reduce((sum, value) => sum + value * value, 0);
  return Math.sqrt(power(got.map((value, index) => value - want[index]!)) / power(want));
}
