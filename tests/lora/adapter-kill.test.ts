import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readAdapterFolder, writeAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { goldenPath } from "../support/golden.js";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "adapter-kill-"));
});
afterAll(() => rm(scratch, { recursive: true }));

/** A program that replaces an adapter by another and back, configuration and all, until it is killed. */
async function buildWriter(): Promise<string> {
  const outfile = join(scratch, "writer.mjs");
  const contents = `
    import { readAdapterFolder, writeAdapterFolder } from "./src/lora/node/adapter-folder.ts";
    const [folder, ...sources] = process.argv.slice(2);
    const adapters = await Promise.all(sources.map(readAdapterFolder));
    process.stdout.write("ready");
    for (let turn = 0; ; turn++) await writeAdapterFolder(folder, adapters[turn % adapters.length]);`;
  // Some packages in the bundle are CommonJS and ask for require.
  const banner = `import { createRequire } from "node:module"; const require = createRequire(import.meta.url);`;
  await build({
    stdin: { contents, resolveDir: process.cwd() },
    bundle: true,
    platform: "node",
    format: "esm",
    banner: { js: banner },
    outfile,
    logLevel: "silent",
  });
  return outfile;
}

it("a kill -9 at any moment of replacing an adapter leaves the old one or the new one, whole", async () => {
  const writer = await buildWriter();
  const sources = [goldenPath("tiny-llama/adapter"), goldenPath("lora/patterns")];
  const folder = join(scratch, "adapter");
  const adapters = await Promise.all(sources.map(readAdapterFolder));
  await writeAdapterFolder(folder, adapters[0]!);
  for (const milliseconds of [3, 7, 11, 17, 23, 31, 37, 43]) {
    const child = spawn(process.execPath, [writer, folder, ...sources], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    await new Promise((done) => setTimeout(done, milliseconds));
    child.kill("SIGKILL");
    await once(child, "exit");
    const survivor = await readAdapterFolder(folder);
    const original = adapters.find((adapter) => adapter.config.rankStabilised === survivor.config.rankStabilised);
    expect(survivor).toEqual(original);
  }
  await writeAdapterFolder(folder, adapters[1]!);
  expect((await readdir(folder)).sort()).toEqual(["README.md", "adapter_config.json", "adapter_model.safetensors"]);
});

it("what a kill left of a file that is written elsewhere this time is removed too", async () => {
  const folder = join(scratch, "left-over");
  const [plain, patterned] = await Promise.all([goldenPath("tiny-llama/adapter"), goldenPath("lora/patterns")].map(readAdapterFolder));
  await writeAdapterFolder(folder, plain!);
  const machine = hostname()
    .replace(/[^A-Za-z0-9-]/g, "")
    .slice(0, 32);
  const noProcess = 2 ** 30; // above the largest number that a system gives
  await writeFile(join(folder, `.README.md.${machine || "host"}.${noProcess}.0123456789ab.tmp`), "half a card");
  await writeAdapterFolder(folder, patterned!); // another configuration: the files are made in a folder of their own
  expect((await readdir(folder)).sort()).toEqual(["README.md", "adapter_config.json", "adapter_model.safetensors"]);
});
