import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, expect } from "vitest";
import { testOnSmallDisk } from "../support/small-disk.js";

let scratch: string;
let program: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "lorikeet-full-disk-"));
  program = join(scratch, "saver.mjs");
  // Saves a checkpoint of 16 KB, then fails to replace it by one of 512 KB, and tells what it finds.
  const contents = `
    import { readdirSync } from "node:fs";
    import { loadCheckpoint, saveCheckpoint } from "./src/training/node/checkpoint-file.ts";
    const path = process.argv[2] + "/checkpoint.safetensors";
    const checkpoint = (step, length) => {
      const vector = () => new Float32Array(length).fill(step);
      const progress = { step, batches: step, seconds: 1, tokens: 1, evaluatedStep: 0 };
      const cursor = { seed: 1, epoch: 0, position: 0, batchSize: 1, examples: 1 };
      const optimizer = { firstMoment: vector(), secondMoment: vector() };
      return { identity: { run: {}, machine: {} }, state: { progress, cursor, trainables: vector(), best: vector(), optimizer } };
    };
    await saveCheckpoint(path, checkpoint(1, 1 << 10));
    const error = await saveCheckpoint(path, checkpoint(2, 1 << 15)).then(() => undefined, (reason) => reason);
    const { state } = await loadCheckpoint(path);
    const vectors = [state.trainables, state.best, ...Object.values(state.optimizer)];
    const whole = vectors.every((vector) => vector.length === 1 << 10 && vector.every((value) => value === 1));
    const { name, message, cause } = error ?? {};
    const files = readdirSync(process.argv[2]);
    console.log(JSON.stringify({ path, name, message, cause: cause?.code, step: state.progress.step, whole, files }));`;
  // Some packages in the bundle are CommonJS and ask for require.
  const banner = { js: `import { createRequire } from "node:module"; const require = createRequire(import.meta.url);` };
  const stdin = { contents, resolveDir: process.cwd() };
  await build({ stdin, bundle: true, platform: "node", format: "esm", banner, outfile: program, logLevel: "silent" });
});
afterAll(() => rm(scratch, { recursive: true }));

testOnSmallDisk("a checkpoint that no longer fits leaves the one before, whole", (run, code) => {
  const { path, ...found } = JSON.parse(run(program));
  expect(found).toEqual({
    name: "RunError",
    message: `${path} was not written: the disk or the quota is full. What was there before is unchanged. Make room and run again.`,
    cause: code,
    step: 1,
    whole: true,
    files: ["checkpoint.safetensors"],
  });
});
