import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { TrainEvent } from "../../src/workflows/api.js";
import { runInspect } from "../../src/workflows/node/inspect-run.js";
import { runMerge } from "../../src/workflows/node/merge-run.js";
import { describeModel } from "../../src/workflows/node/open-model.js";
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
const killedAt = (step: number) => ({
  onEvent: (event: TrainEvent) => {
    if (event.type === "step" && event.step === step) throw new Error("killed");
  },
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

describe("AdaLoRA", () => {
  const method = { method: "adalora", rank: 4, targetRank: 1, steps: 10, pruneFrom: 0.1, pruneUntil: 0.8, pruneEvery: 2, saveEvery: 5 };

  test("ends with its budget of ranks, and is read back", async () => {
    const options = { ...(await common()), ...method, evalEvery: 2 };
    const measured = ofType(await runHere(options), "evaluation");
    expect(measured.filter(({ step, best }) => best && step < 8)).toEqual([]);
    const folder = join(options.out, "last");
    const config = await configOf(folder);
    const best = await configOf(join(options.out, "adapter"));
    expect(Object.values<boolean[]>(best.rank_pattern).flat().filter(Boolean)).toHaveLength(14);
    expect(config).toMatchObject({ peft_type: "ADALORA", init_r: 4, target_r: 1, tinit: 1, tfinal: 2, deltaT: 2, total_step: 10 });
    const masks = Object.values<boolean[]>(config.rank_pattern);
    expect(masks).toHaveLength(14);
    expect(masks.flat().filter(Boolean)).toHaveLength(14);
    const { layers } = await runInspect({ directory: folder }, fakeContext());
    const changed = layers.filter(({ norm }) => norm > 0).length;
    expect(changed).toBe(masks.filter((mask) => mask.some(Boolean)).length);
  });

  test("goes on from a checkpoint to the same bits", async () => {
    const [whole, cut] = [
      { ...(await common()), ...method },
      { ...(await common()), ...method },
    ];
    await runHere({ ...cut, data: whole.data });
    await expect(runHere({ ...whole }, killedAt(7))).rejects.toThrow("killed");
    await runHere({ ...whole, resume: true });
    for (const file of ["adapter_config.json", "adapter_model.safetensors"]) {
      expect(await readFile(join(cut.out, "last", file))).toEqual(await readFile(join(whole.out, "last", file)));
    }
  });

  test("says what it needs to know", async () => {
    const { steps: _, ...timed } = method;
    await expect(runHere({ ...(await common()), ...timed, minutes: 1 })).rejects.toThrow(
      "options.method adalora plans by updates: give options.steps or options.epochs, not options.minutes",
    );
    await expect(runHere({ ...(await common()), ...method, pruneFrom: 0.9 })).rejects.toThrow(
      "options.pruneFrom must lie below options.pruneUntil",
    );
    await expect(runHere({ ...(await common()), ...method, targetRank: 5 })).rejects.toThrow(
      /options\.targetRank 5 is above options\.rank 4/,
    );
  });
});

describe("what is trained beside the layers", () => {
  /** A run that is killed after its third update, and goes on, leaves the bytes of one that is not. */
  const resumesTo = async (file: string, method: Readonly<Record<string, unknown>>) => {
    const [whole, cut] = [
      { ...(await common()), ...method, steps: 5, saveEvery: 2 },
      { ...(await common()), ...method, steps: 5, saveEvery: 2 },
    ];
    await runHere(whole);
    await expect(runHere({ ...cut, data: whole.data }, killedAt(3))).rejects.toThrow("killed");
    await runHere({ ...cut, data: whole.data, resume: true });
    expect((await readFile(join(cut.out, file))).equals(await readFile(join(whole.out, file)))).toBe(true);
  };

  test("every weight: a run goes on from a checkpoint to the same bits", () =>
    resumesTo("model/model.safetensors", { method: "full", lr: 1e-3 }));

  test("the table, the head and tokens: so does one", async () => {
    await resumesTo("adapter/adapter_model.safetensors", { layers: "q_proj,embed_tokens,lm_head" });
    await resumesTo("adapter/adapter_model.safetensors", { layers: "q_proj", trainableTokens: "<|im_start|>,5" });
  });

  test("merged, the rows of trained tokens are others, and no other row is; the head stays the table", async () => {
    const options = { ...(await common()), layers: "q_proj", trainableTokens: "<|im_start|>,5", steps: 3 };
    await runHere(options);
    const out = join(await temporaryFolder(), "merged");
    await runMerge({ model: TINY_CHAT, adapter: options.out, out }, fakeContext());
    expect(JSON.parse(await readFile(join(out, "config.json"), "utf8"))).toMatchObject({ tie_word_embeddings: true });
    const tableOf = async (model: string) => (await describeModel(model)).checkpoint.readFloat32("model.embed_tokens.weight");
    const [before, after] = [await tableOf(TINY_CHAT), await tableOf(out)];
    const width = before.length / 640;
    const changed = new Set([...after].flatMap((value, at) => (value === before[at] ? [] : [Math.floor(at / width)])));
    expect([...changed].sort((a, b) => a - b)).toEqual([1, 5]);
  });
});
