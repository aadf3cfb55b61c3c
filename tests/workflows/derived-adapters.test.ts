import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { extractLayers } from "../../src/lora/extraction.js";
import { readAdapterFolder, writeAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { runCombine } from "../../src/workflows/node/combine-run.js";
import { runConvert } from "../../src/workflows/node/convert-run.js";
import { runExtract } from "../../src/workflows/node/extract-run.js";
import { runMerge } from "../../src/workflows/node/merge-run.js";
import { describeModel } from "../../src/workflows/node/open-model.js";
import { runResize } from "../../src/workflows/node/resize-run.js";
import { changeOf } from "../lora/change.js";
import { relativeError } from "../support/compare.js";
import { goldenPath } from "../support/golden.js";
import { fakeContext, TINY_CHAT, temporaryFolder } from "./support.js";

const adapter = join(TINY_CHAT, "adapter");
const variant = (name: string) => goldenPath(`variants/${name}`);

/** The tiny Qwen 2 whose variants are in tests/golden, with files of a tokenizer beside it. */
async function qwen2(): Promise<string> {
  const folder = await temporaryFolder();
  for (const source of [TINY_CHAT, goldenPath("qwen2")])
    await cp(source, folder, { recursive: true, filter: (path) => !path.includes("adapter") });
  return folder;
}

async function changesOf(folder: string) {
  const { layers } = await readAdapterFolder(folder);
  return new Map(layers.map((layer) => [layer.name, changeOf(layer)]));
}

describe("combine", () => {
  test("names stand for folders or for themselves; the sum is exact", async () => {
    const out = join(await temporaryFolder(), "sum");
    const expression = `2*chat - 0.5*'${adapter}'`;
    const context = fakeContext();
    const result = await runCombine({ expression, adapter: [`chat=${adapter}`], out }, context);
    expect(result).toMatchObject({ out, type: "cat", relativeError: 0, notes: [], terms: [{ name: "chat", weight: 2 }, { weight: -0.5 }] });
    expect(result.files).toEqual(["README.md", "adapter_config.json", "adapter_model.safetensors"]);
    expect(context.events.at(-1)).toMatchObject({ task: "combining layers", total: 14 });
    const before = await changesOf(adapter);
    for (const [name, change] of await changesOf(out))
      expect(
        relativeError(
          change,
          before.get(name)!.map((value) => 1.5 * value),
        ),
      ).toBeLessThan(1e-6);
  });

  test("with a rank it is reduced by SVD; DARE draws the same masks for one seed", async () => {
    const folder = await temporaryFolder();
    const options = { expression: "a + b", adapter: [`a=${adapter}`, `b=${adapter}`] };
    const reduced = await runCombine({ ...options, rank: 1, out: join(folder, "reduced") }, fakeContext());
    expect(reduced).toMatchObject({ type: "svd" });
    expect(reduced.layers.every(({ rank, reductionError }) => rank === 1 && reductionError! > 0)).toBe(true);
    const dare = async (name: string, seed: number) => {
      await runCombine({ ...options, type: "dare_linear", seed, out: join(folder, name) }, fakeContext());
      return await readFile(join(folder, name, "adapter_model.safetensors"));
    };
    expect(await dare("one", 1)).toEqual(await dare("two", 1));
    expect(await dare("three", 2)).not.toEqual(await dare("four", 1));
  });

  test("PEFT's PiSSA takes part where its model is given, and gives what its conversion gives", async () => {
    const folder = await temporaryFolder();
    const options = { expression: "p", adapter: [`p=${variant("pissa/raw")}`] };
    await expect(runCombine({ ...options, out: join(folder, "none") }, fakeContext())).rejects.toThrow("Give the model: --model MODEL");
    const out = join(folder, "sum");
    await runCombine({ ...options, model: await qwen2(), out }, fakeContext());
    const theirs = await changesOf(variant("pissa/adapter"));
    for (const [name, change] of await changesOf(out)) expect(relativeError(change, theirs.get(name)!)).toBeLessThan(2e-4); // PyTorch decomposes in float32
  });

  test.each<[string, object, RegExp]>([
    [
      "a name that is not used",
      { expression: "style", adapter: ["stile=x"] },
      /stile does not occur in the expression; did you mean style\?/,
    ],
    ["no name", { expression: "a", adapter: ["a"] }, /"a" is no NAME=DIR/],
    ["a name twice", { expression: "a", adapter: ["a=x", "a=y"] }, /a stands for two adapters, x and y/],
    ["a folder that is not there", { expression: "nowhere" }, /nowhere does not exist/],
    ["a wrong expression", { expression: "a +* b" }, /at character 4: .*\n {2}a \+\* b\n {2} {3}\^/],
    ["a rank for cat", { expression: "a", type: "cat", rank: 2 }, /the type cat keeps its rank; take svd/],
    ["rank and energy", { expression: "a", rank: 2, energy: 0.5 }, /give only one of the two/],
  ])("%s is refused", async (_, options, message) => {
    const folder = await temporaryFolder();
    await expect(runCombine({ out: join(folder, "out"), ...options }, fakeContext())).rejects.toThrow(message);
    expect(await readdir(folder)).toEqual([]);
  });

  test("inputs are not written over, and an abort leaves nothing", async () => {
    const folder = await temporaryFolder();
    const mine = join(folder, "mine");
    await writeAdapterFolder(mine, await readAdapterFolder(adapter));
    const before = await readFile(join(mine, "adapter_model.safetensors"));
    await expect(runCombine({ expression: `2*'${mine}'`, out: mine }, fakeContext())).rejects.toThrow(/is not empty/);
    const aborted = fakeContext(AbortSignal.abort(new Error("enough")));
    await expect(runCombine({ expression: `'${mine}'`, out: join(folder, "out") }, aborted)).rejects.toThrow("enough");
    expect(await readdir(folder)).toEqual(["mine"]);
    expect(await readFile(join(mine, "adapter_model.safetensors"))).toEqual(before);
  });
});

describe("resize", () => {
  test("writes the strongest directions, and says what is lost", async () => {
    const out = join(await temporaryFolder(), "small");
    const result = await runResize({ adapter, out, rank: 2 }, fakeContext());
    const [ours, before] = [await changesOf(out), await changesOf(adapter)];
    for (const { name, rank, relativeError: lost } of result.layers) {
      expect(rank).toBe(2);
      expect(relativeError(ours.get(name)!, before.get(name)!)).toBeCloseTo(lost, 5);
    }
    const all = (changes: Map<string, Float32Array>) => Float32Array.from([...before.keys()].flatMap((name) => [...changes.get(name)!]));
    expect(relativeError(all(ours), all(before))).toBeCloseTo(result.relativeError, 5);
  });

  test("one of rank and energy is needed; DoRA and lora-bias, which are more than two matrices, are refused with a way out", async () => {
    const out = join(await temporaryFolder(), "small");
    await expect(runResize({ adapter, out }, fakeContext())).rejects.toThrow("options.rank or options.energy: give one of the two");
    await expect(runResize({ adapter: variant("dora/adapter"), out, rank: 1 }, fakeContext())).rejects.toThrow(
      /method dora.*lorikeet merge/,
    );
    await expect(runResize({ adapter: variant("lora-bias/adapter"), out, rank: 1 }, fakeContext())).rejects.toThrow(
      /method lora-bias: it adds to the biases.*lorikeet merge/,
    );
  });
});

describe("convert", () => {
  test("by the model, and by the start, PEFT's conversion", async () => {
    const folder = await temporaryFolder();
    const raw = variant("olora/raw");
    const result = await runConvert({ adapter: raw, model: await qwen2(), out: join(folder, "by-model") }, fakeContext());
    expect(result.layers[0]).toMatchObject({ rank: 4 });
    const [ours, theirs] = [await changesOf(join(folder, "by-model")), await changesOf(variant("olora/adapter"))];
    for (const [name, change] of ours) expect(relativeError(change, theirs.get(name)!)).toBeLessThan(1e-4);

    const nothing = await readAdapterFolder(raw);
    const start = join(folder, "start");
    await writeAdapterFolder(start, { ...nothing, config: { ...nothing.config, method: "lora" } });
    await runConvert({ adapter: raw, start, out: join(folder, "by-start") }, fakeContext());
    for (const change of (await changesOf(join(folder, "by-start"))).values()) expect(Math.max(...change.map(Math.abs))).toBeLessThan(1e-6);
  });

  test("pissa_niter needs its start, and then is converted too", async () => {
    const folder = await temporaryFolder();
    const [mine, start] = [join(folder, "mine"), join(folder, "start")];
    const raw = await readAdapterFolder(variant("pissa/raw"));
    for (const place of [mine, start]) await writeAdapterFolder(place, raw);
    const file = join(mine, "adapter_config.json");
    await writeFile(file, (await readFile(file, "utf8")).replace('"pissa"', '"pissa_niter_4"'));
    await expect(runConvert({ adapter: mine, model: await qwen2(), out: join(folder, "out") }, fakeContext())).rejects.toThrow(
      /pissa_niter_4.*lorikeet convert --start/s,
    );
    await runConvert({ adapter: mine, start, out: join(folder, "out") }, fakeContext());
    expect((await readAdapterFolder(join(folder, "out"))).config).toMatchObject({ method: "lora", rank: 2 * raw.config.rank });
  });

  test.each(["dora", "vera", "adalora", "lora-bias"])("%s, which is more than two matrices, has no start to subtract", async (method) => {
    const folder = variant(`${method}/adapter`);
    const out = join(await temporaryFolder(), "out");
    await expect(runConvert({ adapter: folder, start: folder, out }, fakeContext())).rejects.toThrow(
      new RegExp(`adapters of the method ${method} hold more than two matrices for each layer`),
    );
  });

  test("a plain LoRA is refused", async () => {
    const options = { adapter, model: TINY_CHAT, out: join(await temporaryFolder(), "out") };
    await expect(runConvert(options, fakeContext())).rejects.toThrow("there is nothing to convert");
  });
});

describe("extract", () => {
  test("an adapter that was merged comes back, from a model in another file form as well", async () => {
    const folder = await temporaryFolder();
    const tuned = join(folder, "merged");
    await runMerge({ model: TINY_CHAT, adapter, out: tuned }, fakeContext());
    const result = await runExtract({ base: TINY_CHAT, tuned, rank: 4, out: join(folder, "extracted") }, fakeContext());
    expect(result).toMatchObject({ unchanged: 0, leftOut: [], notes: [] });
    expect(result.relativeError).toBeLessThan(1e-5);
    const before = await changesOf(adapter);
    for (const [name, change] of await changesOf(result.out)) expect(relativeError(change, before.get(name)!)).toBeLessThan(1e-5);

    const less = await runExtract({ base: TINY_CHAT, tuned, energy: 0.6, out: join(folder, "less") }, fakeContext());
    expect(less.relativeError).toBeLessThan(Math.sqrt(0.4));
    expect(Math.max(...less.layers.map(({ rank }) => rank))).toBeLessThan(4);
    await expect(runExtract({ base: TINY_CHAT, tuned: TINY_CHAT, rank: 1, out: join(folder, "no") }, fakeContext())).rejects.toThrow(
      /same weights in every linear layer, and everywhere else/,
    );
    await expect(runExtract({ base: TINY_CHAT, tuned: await qwen2(), rank: 1, out: join(folder, "no") }, fakeContext())).rejects.toThrow(
      /are not of one form:\n- one is a llama, the other a qwen2/,
    );
  });

  test("the weights of one layer are in memory at a time, and one that is not finite is named", async () => {
    const { checkpoint, model } = await describeModel(TINY_CHAT);
    const layers = model.linearGroups.flat();
    const read: string[] = [];
    const noted = (which: string, change: (values: Float32Array<ArrayBuffer>) => void) => ({
      ...checkpoint,
      readFloat32: async (name: string) => {
        read.push(`${which} ${name}`);
        const values = await checkpoint.readFloat32(name);
        change(values);
        return values;
      },
    });
    const [base, tuned] = [noted("base", () => {}), noted("tuned", (values) => values.set([(values[3] ?? 0) + 1], 3))];
    const found = await extractLayers(base, tuned, layers, { rank: 1 });
    expect(read).toEqual(layers.flatMap(({ name }) => [`tuned ${name}.weight`, `base ${name}.weight`]));
    expect(found.every(({ norm, relativeError: lost }) => Math.abs(norm - 1) < 1e-6 && lost < 1e-6)).toBe(true);
    const broken = noted("tuned", (values) => values.set([Number.NaN], 3));
    await expect(extractLayers(base, broken, layers, { rank: 1 })).rejects.toThrow(/q_proj\.weight: .*not finite/);
  });
});
