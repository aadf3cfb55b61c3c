import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { differences, loadCheckpoint, type SavedCheckpoint, saveCheckpoint } from "../../src/training/node/checkpoint-file.js";
import { writeSafetensors } from "../../src/weights/node/write-safetensors.js";
import { goldenPath } from "../support/golden.js";
import { Random } from "../support/random.js";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "lorikeet-checkpoint-"));
});
afterAll(() => rm(scratch, { recursive: true }));

const random = new Random(1);
const sample: SavedCheckpoint = {
  identity: { run: { model: "a", options: { rank: 4, layers: ["q_proj"] } }, machine: { threads: 2, engine: "1.30" } },
  state: {
    progress: { step: 7, batches: 14, seconds: 0.1 + 0.2, tokens: 12345, evaluatedStep: 6, bestLoss: 1 / 3, bestStep: 6 },
    trainables: random.gaussians(50),
    best: random.gaussians(50),
    optimizer: { firstMoment: random.gaussians(50, 1e-30), secondMoment: random.gaussians(50, 1e-42) },
    cursor: { seed: 2 ** 40 + 1, epoch: 1, position: 3, batchSize: 4, examples: 99 },
  },
};

test("a checkpoint comes back to the bit, its folder made if need be", async () => {
  const path = join(scratch, "deep", "er", "checkpoint.safetensors");
  await saveCheckpoint(path, sample);
  expect(await loadCheckpoint(path)).toEqual(sample);
  // Before the first evaluation there is neither a best loss nor a best adapter.
  const { bestLoss: _loss, bestStep: _step, ...progress } = sample.state.progress;
  const { best: _best, ...state } = sample.state;
  await saveCheckpoint(path, { ...sample, state: { ...state, progress } });
  const early = await loadCheckpoint(path);
  expect(early.state.best).toBeUndefined();
  expect(early.state.progress).toEqual(progress);
  expect(await readdir(join(scratch, "deep", "er"))).toEqual(["checkpoint.safetensors"]);
});

describe("what is no checkpoint gets an InputError that says so", () => {
  const failure = async (path: string): Promise<InputError> => {
    const error: unknown = await loadCheckpoint(path).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(InputError);
    expect((error as InputError).message).toContain(path);
    return error as InputError;
  };
  /** A checkpoint whose description is another. */
  const described = async (name: string, text: string): Promise<string> => {
    const path = join(scratch, name);
    const data = new Float32Array(2);
    await writeSafetensors(path, [{ name: "trainables", dtype: "F32", shape: [2], data: () => data }], { "lorikeet.checkpoint": text });
    return path;
  };
  const description = { format: 1, identity: sample.identity, progress: sample.state.progress, cursor: sample.state.cursor };

  test("cut off at any place", async () => {
    const path = join(scratch, "whole.safetensors");
    await saveCheckpoint(path, sample);
    const bytes = await readFile(path);
    const cut = join(scratch, "cut.safetensors");
    for (let length = 0; length < bytes.length; length += 61) {
      await writeFile(cut, bytes.subarray(0, length));
      const { message } = await failure(cut);
      expect(message).toMatch(/[a-z]{3,} .*\./);
    }
  });

  test("missing, a folder, an adapter, any text", async () => {
    expect((await failure(join(scratch, "missing.safetensors"))).message).toContain("cannot be read");
    await failure(scratch);
    const adapter = goldenPath("tiny-llama/adapter/adapter_model.safetensors");
    expect((await failure(adapter)).message).toBe(
      `${adapter} is no checkpoint that this version of lorikeet can resume: it says nothing about a run. Start again without --resume.`,
    );
    const text = join(scratch, "text.safetensors");
    await writeFile(text, "The lighthouse and the ledger. ".repeat(20));
    await failure(text);
  });

  test("a description of another version, of another kind, or of none", async () => {
    const other = await failure(await described("format.safetensors", JSON.stringify({ ...description, format: 2 })));
    expect(other.message).toContain("is no checkpoint that this version of lorikeet can resume");
    expect(other.message).toContain("format");
    expect((await failure(await described("json.safetensors", "{"))).message).toContain("its description is not JSON");
    const progress = { ...description.progress, step: -1 };
    const negative = await failure(await described("negative.safetensors", JSON.stringify({ ...description, progress })));
    expect(negative.message).toContain("progress.step");
    const { cursor: _cursor, ...rest } = description;
    expect((await failure(await described("cursor.safetensors", JSON.stringify(rest)))).message).toContain("cursor");
  });

  test("without the vectors", async () => {
    const path = join(scratch, "empty.safetensors");
    const entries = [{ name: "best", dtype: "F32" as const, shape: [2], data: () => new Float32Array(2) }];
    await writeSafetensors(path, entries, { "lorikeet.checkpoint": JSON.stringify(description) });
    expect((await failure(path)).message).toContain("holds no trainable values");
  });

  test("with a vector of another length than the trainables", async () => {
    const path = join(scratch, "lengths.safetensors");
    const vector = (name: string, length: number) => ({
      name,
      dtype: "F32" as const,
      shape: [length],
      data: () => new Float32Array(length),
    });
    for (const name of ["best", "optimizer.firstMoment"]) {
      await writeSafetensors(path, [vector("trainables", 4), vector(name, 3)], { "lorikeet.checkpoint": JSON.stringify(description) });
      expect((await failure(path)).message).toContain(`"${name}" has 3 values, the trainables have 4`);
    }
  });
});

test("differences name what changed", () => {
  expect(differences({ a: 1, b: [1, 2], c: "x" }, { a: 1, b: [1, 3], d: null })).toEqual([
    "b was [1,2], is [1,3]",
    'c was "x", is absent',
    "d was absent, is null",
  ]);
  expect(differences({ a: { b: 1 } }, { a: { b: 1 } })).toEqual([]);
});

test("a kill -9 at any moment of saving leaves the last checkpoint or the new one, whole", async () => {
  const program = join(scratch, "saver.mjs");
  const contents = `
    import { loadCheckpoint, saveCheckpoint } from "./src/training/node/checkpoint-file.ts";
    const path = process.argv[2];
    const { identity, state } = await loadCheckpoint(path);
    process.stdout.write("ready");
    for (let step = state.progress.step + 1; ; step++) {
      for (const vector of [state.trainables, state.best, ...Object.values(state.optimizer)]) vector.fill(step);
      await saveCheckpoint(path, { identity, state: { ...state, progress: { ...state.progress, step } } });
    }`;
  // Some packages in the bundle are CommonJS and ask for require.
  const banner = { js: `import { createRequire } from "node:module"; const require = createRequire(import.meta.url);` };
  const stdin = { contents, resolveDir: process.cwd() };
  await build({ stdin, bundle: true, platform: "node", format: "esm", banner, outfile: program, logLevel: "silent" });

  const folder = join(scratch, "killed");
  const path = join(folder, "checkpoint.safetensors");
  const length = 1 << 16;
  const vectors = { trainables: new Float32Array(length), best: new Float32Array(length) };
  const optimizer = { firstMoment: new Float32Array(length), secondMoment: new Float32Array(length) };
  const progress = { ...sample.state.progress, step: 0 };
  await saveCheckpoint(path, { ...sample, state: { ...sample.state, ...vectors, optimizer, progress } });
  let last = 0;
  for (const milliseconds of [2, 5, 11, 19, 29, 41]) {
    const child = spawn(process.execPath, [program, path], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    await new Promise((done) => setTimeout(done, milliseconds));
    child.kill("SIGKILL");
    await once(child, "exit");
    const { state } = await loadCheckpoint(path);
    const { step } = state.progress;
    expect(step).toBeGreaterThanOrEqual(last);
    last = step;
    for (const vector of [state.trainables, state.best!, ...Object.values(state.optimizer)]) {
      expect(vector).toHaveLength(length);
      expect(vector.every((value) => value === step)).toBe(true);
    }
  }
  expect(last).toBeGreaterThan(0); // it did save in between
  await saveCheckpoint(path, sample);
  expect(await readdir(folder)).toEqual(["checkpoint.safetensors"]);
});
