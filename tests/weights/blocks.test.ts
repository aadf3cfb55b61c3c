import { mkdtemp, readdir, readFile, rm, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { blocksToFloat, roundToBlocks, roundToBytes } from "../../src/weights/kernels/blocks.js";
import { type BlockOptions, type BlockWeights, mapBlockWeights } from "../../src/weights/node/block-weights.js";
import { openGguf, openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { writeSafetensors } from "../../src/weights/node/write-safetensors.js";
import { blockForm, isStoredType, unpackBlocks } from "../../src/weights/stored-types.js";
import { relativeError } from "../support/compare.js";
import { ggufFacts, ggufNames, ggufPath } from "../support/gguf-golden.js";
import { golden as goldenOf } from "../support/golden.js";
import { Random } from "../support/random.js";
import { fromBase64, golden, goldenFolder, sha256 } from "./golden.js";

const ranges = { int4: [-8, 7], uint4: [0, 15], int8: [-128, 127] } as const;
/** Types with fewer bits than those in which they are held. */
const narrower: Readonly<Record<string, readonly [number, number]>> = { Q2_K: [0, 3], Q3_K: [-4, 3] };

describe("blocks as they are stored", () => {
  const quantised = golden.blocks.cases.filter(({ type }) => !type.endsWith("F32") && !type.endsWith("F16"));

  it.each(quantised)("$type: the numbers fit the type in which they are held, and reach its ends", ({ type, stored, values }) => {
    const form = isStoredType(type) ? blockForm(type) : undefined;
    if (form === undefined) throw new Error(`${type} has no blocks`);
    const { codes, minimums } = unpackBlocks(form, fromBase64(stored), fromBase64(values).length / 4);
    const [least, most] = ranges[form.codes];
    expect(Math.min(...codes)).toBeGreaterThanOrEqual(least);
    expect(Math.max(...codes)).toBeLessThanOrEqual(most);
    if (form.codes !== "int8") expect([Math.min(...codes), Math.max(...codes)]).toEqual(narrower[type] ?? [least, most]);
    expect(minimums.some((minimum) => minimum !== 0)).toBe(form.hasMinimums);
  });
});

describe("rounding to blocks", () => {
  const want = goldenOf<{ size: number; values: number[]; errorsInQ4_1: number[]; codesInQ8_0: number[] }>("weights/blocks.json");
  const { size } = want;
  const values = Float32Array.from(want.values);

  it("to 4 bits: no block is further off than in the GGUF package's Q4_1, and all of them together are nearer", () => {
    const rounded = roundToBlocks(values, size);
    const got = new Float32Array(values.length);
    blocksToFloat(rounded, size, got);
    const errors = want.errorsInQ4_1.map((_, block) => {
      const part = (of: Float32Array) => of.subarray(block * size, (block + 1) * size);
      return Math.hypot(...part(got).map((value, at) => value - part(values)[at]!));
    });
    // The package keeps scales in half precision, so that a block of its may be nearer by chance.
    for (const [block, error] of errors.entries()) expect(error).toBeLessThanOrEqual(1.02 * want.errorsInQ4_1[block]! + 1e-9);
    const relative = errors.flatMap((error, block) => (want.errorsInQ4_1[block]! > 1e-6 ? [error / want.errorsInQ4_1[block]!] : []));
    expect(relative.length).toBeGreaterThan(50);
    expect(relative.reduce((sum, ratio) => sum + ratio, 0) / relative.length).toBeLessThan(0.97);
    expect(got.subarray(0, 2 * size)).toEqual(values.subarray(0, 2 * size)); // constant blocks are exact
    expect([Math.min(...rounded.codes), Math.max(...rounded.codes)]).toEqual([0, 15]);
  });

  it("to 8 bits: the GGUF package's numbers in Q8_0", () => {
    expect([...roundToBytes(values, size).codes]).toEqual(want.codesInQ8_0);
  });
});

describe("the form in blocks of a checkpoint in the cache", () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "lorikeet-blocks-"));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  /** The values of a weight at its mapped places, read without the code under test, as ONNX defines its 4-bit types. */
  async function valuesOf({ folder, file, blocks, float }: BlockWeights, name: string): Promise<Float32Array> {
    const whole = await readFile(join(folder, file));
    const bytes = ({ offset, byteLength }: { offset: number; byteLength: number }) =>
      new Uint8Array(whole.subarray(offset, offset + byteLength));
    const floats = (place: { offset: number; byteLength: number }) => {
      expect(place.offset % 4).toBe(0); // or the engine cannot map it
      return new Float32Array(bytes(place).buffer);
    };
    const plain = float.get(name);
    if (plain !== undefined) return floats(plain);
    const { size, codeType, codes, scales, minimums } = blocks.get(name)!;
    const stored = bytes(codes);
    const numbers =
      codeType === "int8"
        ? new Int8Array(stored.buffer)
        : Array.from(stored).flatMap((byte) => [byte & 15, byte >> 4].map((half) => (codeType === "int4" && half > 7 ? half - 16 : half)));
    const [scale, minimum] = [floats(scales), minimums === undefined ? undefined : floats(minimums)];
    return Float32Array.from(numbers, (number, at) => {
      const block = Math.floor(at / size);
      const product = Math.fround(scale[block]! * number);
      return minimum === undefined ? product : product + minimum[block]!;
    });
  }

  const map = (checkpoint: Parameters<typeof mapBlockWeights>[0], cache: string, options: Partial<BlockOptions> = {}) =>
    mapBlockWeights(checkpoint, { cacheFolder: join(root, cache), weights: checkpoint.tensors.keys(), eightBits: new Set(), ...options });

  it("of a GGUF model: every quantised weight is what the gguf package reads, bit for bit, in Hugging Face's order of rows", async () => {
    const { checkpoint } = await openGguf(join(goldenFolder, "tiny-llama.gguf"));
    const mapped = await map(checkpoint, "gguf");
    const held: Record<string, string> = {};
    for (const [name, { type, shape, sha256: expected }] of Object.entries(golden.model.tensors)) {
      const form = mapped.blocks.get(name);
      held[type] = form?.codeType ?? "float32";
      if (!type.startsWith("Q") && shape.length === 2) continue; // rounded: below
      expect([name, sha256(await valuesOf(mapped, name))]).toEqual([name, expected]);
    }
    expect(held).toEqual({
      Q8_0: "int8",
      Q4_0: "int4",
      Q4_1: "uint4",
      Q5_0: "int8",
      Q5_1: "int8",
      F16: "uint4",
      BF16: "uint4",
      F32: "float32",
    });
  });

  it.each(ggufNames.filter((name) => name.endsWith("-quantised")))(
    "of a GGUF of %s: every weight as the gguf package reads it, put as transformers has it",
    async (name) => {
      const { checkpoint } = await openGguf(ggufPath(name));
      const mapped = await map(checkpoint, name);
      for (const [tensor, { type, shape, sha256: expected }] of Object.entries(ggufFacts(name).tensors)) {
        expect([tensor, mapped.blocks.has(tensor)]).toEqual([tensor, shape.length === 2]);
        if (shape.length === 2 && type === "F32") continue; // GPT-2's positions: rounded
        expect([tensor, sha256(await valuesOf(mapped, tensor))]).toEqual([tensor, expected]);
      }
    },
  );

  it("of floating-point weights: rounded to 4 bits, or to 8 where that is asked for, and kept where no whole block fits", async () => {
    const path = join(root, "model.safetensors");
    const random = new Random(11);
    const shapes = { "layer.weight": [24, 64], "embed.weight": [40, 64], "odd.weight": [8, 40], "norm.weight": [64] } as const;
    const tensors = Object.entries(shapes).map(([name, shape]) => {
      const values = random.gaussians(shape.reduce((product: number, extent) => product * extent, 1));
      return { name, dtype: "F32" as const, shape, values, data: () => values };
    });
    await writeSafetensors(path, tensors);
    const checkpoint = await openSafetensorsFile(path);
    const mapped = await map(checkpoint, "float", { eightBits: new Set(["embed.weight"]) });
    const errors = Object.fromEntries(
      await Promise.all(tensors.map(async ({ name, values }) => [name, relativeError(await valuesOf(mapped, name), values)] as const)),
    );
    expect(errors["layer.weight"]).toBeGreaterThan(0.065); // of normal weights: 7.3 %
    expect(errors["layer.weight"]).toBeLessThan(0.08);
    expect(errors["embed.weight"]).toBeGreaterThan(0.003);
    expect(errors["embed.weight"]).toBeLessThan(0.007);
    expect([errors["odd.weight"], errors["norm.weight"]]).toEqual([0, 0]);
    // Another choice is another file.
    await map(checkpoint, "float");
    expect(await readdir(join(root, "float"))).toHaveLength(2);
  });

  it("is written once and found again, and written anew where it is damaged", async () => {
    const { checkpoint } = await openGguf(join(goldenFolder, "tiny-llama.gguf"));
    const progress: { done: number; total: number }[] = [];
    const mapped = await map(checkpoint, "once", { onProgress: (at) => progress.push(at) });
    expect(progress.at(-1)?.done).toBe(progress.at(-1)?.total);
    expect(await map(checkpoint, "once", { onProgress: () => expect.unreachable("written twice") })).toEqual(mapped);
    const path = join(mapped.folder, mapped.file);
    const { size } = await stat(path);
    await truncate(path, size - 100);
    expect(await map(checkpoint, "once")).toEqual(mapped);
    expect((await stat(path)).size).toBe(size);
  });

  it("stops when asked to, and leaves nothing behind", async () => {
    const { checkpoint } = await openGguf(join(goldenFolder, "tiny-llama.gguf"));
    const controller = new AbortController();
    await expect(map(checkpoint, "stopped", { signal: controller.signal, onProgress: () => controller.abort() })).rejects.toThrow(
      "aborted",
    );
    expect(await readdir(join(root, "stopped"))).toEqual([]);
  });
});
