import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AnsweringGroup, mapAnsweringWeights } from "../../src/weights/node/answering-weights.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { writeSafetensors } from "../../src/weights/node/write-safetensors.js";
import { relativeError } from "../support/compare.js";
import { Random } from "../support/random.js";

const [INPUTS, WIDE] = [64, 512];
const random = new Random(11);
const shapes = {
  "q.weight": [32, INPUTS],
  "k.weight": [16, INPUTS],
  "down.weight": [INPUTS, WIDE],
  "head.weight": [48, INPUTS],
  "norm.weight": [INPUTS],
};
const values = new Map(
  Object.entries(shapes).map(([name, shape]) => [
    name,
    random.gaussians(
      shape.reduce((a, b) => a * b, 1),
      0.1,
    ),
  ]),
);
const groups: AnsweringGroup[] = [
  { input: "q", weights: ["q.weight", "k.weight"], kind: "rows" },
  { input: "down", weights: ["down.weight"], kind: "rows" },
  { input: "head.weight", weights: ["head.weight"], kind: "blocks" },
];
// A quiet input, and one of which a single value in a row leaves few steps to the others: each row has it in another channel.
const quiet = random.gaussians(100 * INPUTS);
const loud = random.gaussians(WIDE * WIDE).map((value, at) => (at % WIDE === Math.floor(at / WIDE) % WIDE ? 200 : value));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lorikeet-answers-"));
  const entries = Object.entries(shapes).map(([name, shape]) => ({ name, dtype: "F32" as const, shape, data: () => values.get(name)! }));
  await writeSafetensors(join(folder, "model.safetensors"), entries);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let measured = 0;
const map = async (float = ["head.weight", "norm.weight"]) =>
  mapAnsweringWeights(await openSafetensorsFile(join(folder, "model.safetensors")), {
    cacheFolder: join(folder, "cache"),
    groups,
    float,
    measureInputs: async () => {
      measured++;
      return new Map([
        ["q", quiet],
        ["down", loud],
      ]);
    },
  });

test("codes and scales give the weights back, layers of one input side by side; loud inputs are marked", async () => {
  const { folder: cache, file, groups: mapped, float } = await map();
  const bytes = await readFile(join(cache, file));
  const read = (index: number, part: string) => {
    const { offset, byteLength, shape } = mapped[index]!.parts.get(part)!;
    return { shape, bytes: bytes.buffer.slice(bytes.byteOffset + offset, bytes.byteOffset + offset + byteLength) };
  };
  const floats = (index: number, part: string) => new Float32Array(read(index, part).bytes);
  expect(mapped.map(({ fine, inputs }) => [fine, inputs])).toEqual([
    [false, INPUTS],
    [true, WIDE],
    [false, INPUTS],
  ]);

  const [codes, scales, smooth, sums] = [
    new Int8Array(read(0, "codes").bytes),
    floats(0, "scales"),
    floats(0, "smooth"),
    floats(0, "sums"),
  ];
  expect(read(0, "codes").shape).toEqual([INPUTS, 48]);
  const weight = (output: number, i: number) => codes[i * 48 + output]! * scales[output]! * smooth[i]!;
  const again = Array.from({ length: 48 * INPUTS }, (_, at) => weight(Math.floor(at / INPUTS), at % INPUTS));
  // 1/√12 of a step of 1/127 of a row's largest value, three deviations or so: 0.7 %.
  const error = relativeError(again, [...values.get("q.weight")!, ...values.get("k.weight")!]);
  expect(error).toBeLessThan(0.012);
  expect(error).toBeGreaterThan(0.002);
  const ones = Array.from({ length: 48 }, (_, output) => smooth.reduce((sum, factor, i) => sum + weight(output, i) / factor, 0));
  expect(relativeError(sums, ones)).toBeLessThan(1e-5);

  const [blockCodes, blockScales] = [new Uint8Array(read(2, "codes").bytes), floats(2, "scales")];
  const head = Float32Array.from(blockCodes, (code, at) => (code - 128) * blockScales[Math.floor(at / 32)]!);
  expect(relativeError(head, values.get("head.weight")!)).toBeLessThan(0.008);
  for (const name of ["head.weight", "norm.weight"]) {
    const { offset, byteLength } = float.get(name)!;
    expect(new Float32Array(bytes.buffer.slice(bytes.byteOffset + offset, bytes.byteOffset + offset + byteLength))).toEqual(
      values.get(name),
    );
  }
});

test("the file is written once, and anew where it is damaged or lacks what is asked for", async () => {
  const { folder: cache, file } = await map();
  const path = join(cache, file);
  const [{ mtimeMs }, whole] = [await stat(path), await readFile(path)];
  const before = measured;
  await map();
  expect((await stat(path)).mtimeMs).toBe(mtimeMs);
  expect(measured).toBe(before);
  const damages = [() => truncate(path, whole.length - 100), () => writeFile(path, "no safetensors"), () => writeFile(path, "")];
  for (const damage of damages) {
    await damage();
    await map();
    expect(await readFile(path)).toEqual(whole);
  }
  const { float } = await map(["head.weight", "norm.weight", "q.weight"]);
  expect(float.has("q.weight")).toBe(true);
  expect((await readdir(cache)).every((name) => name.endsWith(".answers.safetensors"))).toBe(true);
});

test("an abort while it is written leaves nothing", async () => {
  const checkpoint = await openSafetensorsFile(join(folder, "model.safetensors"));
  const cacheFolder = join(folder, "aborted");
  const reason = new Error("enough");
  const signal = AbortSignal.abort(reason);
  await expect(
    mapAnsweringWeights(checkpoint, { cacheFolder, groups, float: [], measureInputs: async () => new Map(), signal }),
  ).rejects.toBe(reason);
  expect(await readdir(cacheFolder)).toEqual([]);
});
