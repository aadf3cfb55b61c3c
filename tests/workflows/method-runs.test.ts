import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runInspect } from "../../src/workflows/node/inspect-run.js";
import { fakeContext, TINY_CHAT, temporaryFolder } from "./support.js";
import { ofType, questionsFile, runHere } from "./training-support.js";

// Runs of methods whose files, options or updates are others than LoRA's.

const common = async () => ({
  model: TINY_CHAT,
  data: await questionsFile(),
  out: join(await temporaryFolder(), "run"),
  batchSize: 4,
  threads: 1,
  lr: 1e-2,
  report: false,
});
const configOf = async (folder: string) => JSON.parse(await readFile(join(folder, "adapter_config.json"), "utf8"));

describe("VeRA", () => {
  test("trains, and is read back", async () => {
    const options = { ...(await common()), method: "vera", rank: 32, steps: 8, seed: 5 };
    const losses = ofType(await runHere(options), "step").map(({ loss }) => loss);
    expect(losses.at(-1)!).toBeLessThan(losses[0]!);
    const folder = join(options.out, "adapter");
    expect(await configOf(folder)).toMatchObject({ peft_type: "VERA", r: 32, projection_prng_key: 5, save_projection: true });
    const { layers } = await runInspect({ directory: folder, model: TINY_CHAT }, fakeContext());
    for (const { norm } of layers) expect(norm).toBeGreaterThan(0);
  });

  test("has no use for a strength", async () => {
    await expect(runHere({ ...(await common()), method: "vera", alpha: 8, rslora: true })).rejects.toThrow(
      /options\.alpha means nothing to the method vera: leave it out[\s\S]*options\.rslora means nothing to the method vera/,
    );
  });
});
