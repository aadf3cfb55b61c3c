import type { StatsFs } from "node:fs";
import { mkdtemp, open, readdir, readFile, rm, statfs, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Int8Part } from "../../src/graph/op.js";
import type { Checkpoint } from "../../src/weights/checkpoint.js";
import {
  channelMeans,
  int8Encoder,
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
  /** The channel that `forwardWithout` leaves to float32. */
  readonly takenOut: number;
  readonly x: readonly number[]; // [rows, inputs]
  readonly weight: readonly number[]; // [outputs, inputs]
  readonly inputMaxima: readonly number[];
  readonly weightMaxima: readonly number[];
  readonly mean: readonly number[];
  /** With alpha 0.5. */
  readonly smooth: readonly number[];
  /** With alpha 0.8. */
  readonly smoothMore: readonly number[];
  readonly forward: GoldenForward;
  readonly forwardWithout: GoldenForward;
  readonly backward: { readonly codes: readonly number[]; readonly scales: readonly number[] };
  readonly roundingErrors: RoundingErrors;
  readonly roundingErrorsUnsmoothed: RoundingErrors;
}

interface GoldenForward {
  readonly codes: readonly number[];
  readonly scales: readonly number[];
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
  function encoded(smooth: Float32Array) {
    const encoder = int8Encoder(outputs, { smooth, mean: channelMeans(x, inputs) }, weightMaxima);
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
    expectClose(channelMeans(x, inputs), golden.mean);
    expectClose(smoothingFactors(inputMaxima, weightMaxima, 0.5), golden.smooth);
    expectClose(smoothingFactors(inputMaxima, weightMaxima, 0.8), golden.smoothMore);
    expect([...smoothingFactors(new Float32Array(inputs), new Float32Array(inputs), 0.5)]).toEqual(Array(inputs).fill(1)); // nothing to tame
  });

  it.each([
    ["all channels", "forward"],
    ["a channel left to float32", "forwardWithout"],
  ] as const)("codes and scales of both directions, and the bias that gives the mean output back: %s", (_, which) => {
    const smooth = Float32Array.from(golden.smooth, (factor, channel) =>
      which === "forwardWithout" && channel === golden.takenOut ? 0 : factor,
    );
    const { forwardCodes, forwardScales, forwardBias, backwardCodes, backwardScales } = encoded(smooth);
    expect([...forwardCodes]).toEqual(golden[which].codes);
    expectClose(forwardScales, golden[which].scales);
    const terms = golden.weight.map((value, at) => Math.abs(value * golden.mean[at % inputs]!));
    expectClose(forwardBias, golden[which].bias, inputs * Math.max(...terms));
    expect([...backwardCodes]).toEqual(golden.backward.codes);
    expectClose(backwardScales, golden.backward.scales);
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
    { input: "embed", weights: ["embed.weight"], scalePerRow: true },
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
    const outliers = new BigInt64Array(await partOf(mapped, weight, "outliers"));
    const apart = new Float32Array(await partOf(mapped, weight, "outlierWeights"));
    return Float64Array.from(scales!, (scale, output) => {
      let sum = 0;
      for (const [channel, value] of x.entries()) sum += value * smooth![channel]! * codes[channel * scales!.length + output]! * scale;
      for (const [index, channel] of outliers.entries()) sum += x[Number(channel)]! * apart[output * outliers.length + index]!;
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

  it("an input of uneven rows and loud channels: a scale for each row, and the loudest channels apart", async () => {
    const mapped = await map("hard", { measureInputs: async () => new Map([...inputs, ["q", hard]]) });
    expect([...mapped.int8].map(([name, { range }]) => [name, range])).toEqual([
      ["q.weight", "row"],
      ["k.weight", "row"],
      ["down.weight", "tensor"],
      ["embed.weight", "row"],
    ]);
    const outliers = new BigInt64Array(await partOf(mapped, "q.weight", "outliers"));
    expect(new Set(outliers).size).toBe(64);
    const smooth = new Float32Array(await partOf(mapped, "q.weight", "smooth"));
    expect([...smooth.keys()].filter((channel) => smooth[channel] === 0).map(BigInt)).toEqual([...outliers]);
    // They are multiplied in float32, the others are not.
    for (const [heard, least, most] of [
      [true, 0, 1e-6],
      [false, 0.001, 0.012],
    ] as const) {
      const row = hard.subarray(0, columns).map((value, channel) => (outliers.includes(BigInt(channel)) === heard ? value : 0));
      const error = relative(await productFrom(mapped, "q.weight", row), exactProduct(tensors["q.weight"].values, row));
      expect(error).toBeGreaterThanOrEqual(least); // or nothing was rounded
      expect(error).toBeLessThan(most);
    }
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
