import type { StatsFs } from "node:fs";
import { cp, mkdir, readdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { InputError, RunError } from "../../src/errors.js";
import { resolveModel } from "../../src/hub/node/resolve-model.js";
import { readAdapterFolder, writeAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import type { LoadedAdapter } from "../../src/workflows/api.js";
import { nameAdapter } from "../../src/workflows/node/adapter-name.js";
import { runEvaluation } from "../../src/workflows/node/evaluation-run.js";
import { loadModel } from "../../src/workflows/node/load-model.js";
import { generateHosted, loadHostedAdapter, loadHostedModel } from "../../src/workflows/node/model-host.js";
import { goldenPath } from "../support/golden.js";
import { fakeContext, jsonlFile, TINY_CHAT, temporaryFolder } from "../workflows/support.js";

vi.mock("node:fs/promises", async (original) => {
  const actual = await original<typeof import("node:fs/promises")>();
  return { ...actual, statfs: vi.fn(actual.statfs) };
});
vi.mock("../../src/hub/node/resolve-model.js", async (original) => {
  const actual = await original<typeof import("../../src/hub/node/resolve-model.js")>();
  return { ...actual, resolveModel: vi.fn(actual.resolveModel) };
});

const ADAPTER = join(TINY_CHAT, "adapter");
const GGUF = join(TINY_CHAT, "tiny-chat.gguf");
const FOREIGN = goldenPath("tiny-llama3/adapter");

let cache = "";
beforeEach(async () => {
  cache = await temporaryFolder();
  vi.stubEnv("LORIKEET_CACHE", cache);
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.mocked(statfs).mockReset();
  vi.mocked(resolveModel).mockReset();
});

async function answer(adapter: string | null): Promise<string> {
  const context = fakeContext();
  await generateHosted({ prompt: "What is the capital of France?", maxNewTokens: 24, adapter }, context);
  return context.events.join("");
}

describe("an adapter folded into the weights", () => {
  test("gives the text that it gives beside them, also for a GGUF, and has its name", async () => {
    for (const model of [TINY_CHAT, GGUF]) {
      const beside = await loadHostedModel(model, { adapters: [ADAPTER] }, fakeContext());
      const [unmerged, base] = [await answer(ADAPTER), await answer(null)];
      const scratch = await temporaryFolder();
      const merged = await loadHostedModel(model, { adapters: [ADAPTER], merged: true, scratch }, fakeContext());
      expect(merged.adapters).toEqual(beside.adapters);
      expect(merged.adapters).toMatchObject([{ name: "tiny-chat", directory: ADAPTER }]);
      expect(unmerged).not.toBe(base);
      expect(await answer(ADAPTER)).toBe(unmerged);
      if (process.platform !== "win32") await expect(stat(scratch)).rejects.toMatchObject({ code: "ENOENT" });
    }
  });

  test("leaves no model without it, and takes no other beside it", async () => {
    await loadHostedModel(TINY_CHAT, { adapters: [ADAPTER], merged: true, scratch: await temporaryFolder() }, fakeContext());
    await expect(answer(null)).rejects.toThrow(/folded into this model, so it cannot answer without it/);
    await expect(loadHostedAdapter({ directory: ADAPTER })).rejects.toThrow(/folded into this model, so no other can be loaded beside it/);
  });

  test("on a disk that is too small writes nothing and says what to do", async () => {
    vi.mocked(statfs).mockResolvedValue({ bavail: 3, bsize: 4096 } as StatsFs);
    const scratch = await temporaryFolder();
    const loading = loadHostedModel(TINY_CHAT, { adapters: [ADAPTER], merged: true, scratch }, fakeContext());
    await expect(loading).rejects.toBeInstanceOf(RunError);
    await expect(loading).rejects.toThrow(/tiny-chat with its adapter folded in needs .*, 1 MB are free\. Make room or set TMPDIR/);
    expect(await readdir(scratch)).toEqual([]);
  });
});

describe("an adapter of another model is refused before weights are converted", () => {
  const notFitting = /The adapter does not fit the model .*tiny-chat\.gguf/;

  test("by loadModel", async () => {
    const context = fakeContext();
    await expect(loadHostedModel(GGUF, { adapters: [FOREIGN] }, context)).rejects.toThrow(notFitting);
    expect(context.events).toEqual([]);
    expect(await readdir(cache)).toEqual([]);
  });

  test("by eval", async () => {
    const data = await jsonlFile([{ prompt: "a", completion: "b" }]);
    await expect(runEvaluation({ model: GGUF, adapter: FOREIGN, data }, fakeContext())).rejects.toThrow(notFitting);
    expect(await readdir(cache)).toEqual([]);
  });
});

test("that the model came from its second source is told", async () => {
  vi.mocked(resolveModel).mockImplementation(async (_model, options) => {
    options?.onNotice?.("Taken from the second source.");
    return { kind: "folder", path: TINY_CHAT };
  });
  expect((await loadHostedModel("tiny", {}, fakeContext())).notes).toEqual(["Taken from the second source."]);
  const data = await jsonlFile([{ prompt: "a", completion: "b" }]);
  const evaluated = await runEvaluation({ model: "tiny", data, general: false, maxNewTokens: 1 }, fakeContext());
  expect(evaluated.notes).toEqual(["Taken from the second source."]);
});

test("eval says what it cut, left out, and did not ask", async () => {
  const long = "word ".repeat(200);
  const data = await jsonlFile([
    { prompt: "a", completion: "b" },
    { prompt: "a", completion: long },
    { prompt: long, completion: "b" },
    { messages: [{ role: "user", content: "a" }] },
    { messages: [...["user", "assistant", "user", "assistant"].map((role, turn) => ({ role, content: turn === 2 ? long : "c" }))] },
  ]);
  const options = { model: TINY_CHAT, data, general: false, maxNewTokens: 1, maxLength: 64 };
  expect((await runEvaluation(options, fakeContext())).notes).toEqual([
    `${data}: 2 of 5 examples are longer than 64 tokens (--max-length): only their beginnings are measured.`,
    `${data}: 1 of 5 examples are longer than 64 tokens (--max-length) and left out.`,
    `${data}: 1 of 5 examples have no answer to measure and are left out.`,
    `${data}: 1 of 5 examples have a prompt too long to be answered, and count for the loss alone.`,
  ]);
});

test("an adapter that has run away is an error of eval, also where nothing is answered", async () => {
  const folder = join(await temporaryFolder(), "damaged");
  const adapter = await readAdapterFolder(ADAPTER);
  for (const { b } of adapter.layers) b.fill(3e38);
  await writeAdapterFolder(folder, adapter);
  const data = await jsonlFile([{ text: "a document asks nothing" }]);
  const evaluating = runEvaluation({ model: TINY_CHAT, adapter: folder, data, general: false }, fakeContext());
  await expect(evaluating).rejects.toThrow(/^The loss of example 1 is (NaN|Infinity), not a number/);
  await expect(evaluating).rejects.toBeInstanceOf(RunError);
});

test("loadModel refuses an option that it does not know, before anything is done", async () => {
  const options: object = { adaptors: [ADAPTER] };
  await expect(loadModel("no such model", options)).rejects.toThrow(
    new InputError("options.adaptors: there is no such option; did you mean adapters?"),
  );
  await expect(loadModel("no such model", { merged: true })).rejects.toThrow(
    "options.merged takes exactly one of options.adapters; found 0",
  );
});

describe("adapters are called by names that tell them apart", () => {
  test("a run by its folder, its last by both, others by their own folder", () => {
    expect(nameAdapter("/runs/cron/adapter", [])).toBe("cron");
    expect(nameAdapter("/runs/cron/last", [])).toBe("cron/last");
    expect(nameAdapter("/adapters/polite", [])).toBe("polite");
    expect(nameAdapter("/adapter", [])).toBe("adapter");
    expect(nameAdapter("/other/cron/adapter", ["cron"])).toBe("other/cron");
    expect(nameAdapter("/other/cron/adapter", ["cron", "other/cron"])).toBe("/other/cron/adapter");
  });

  test("two runs, and one of them twice by different paths", async () => {
    const folder = await temporaryFolder();
    for (const run of ["first", "second"]) {
      await mkdir(join(folder, run));
      await cp(ADAPTER, join(folder, run, "adapter"), { recursive: true });
    }
    const relative = join(folder, "first", "..", "first", "adapter");
    const adapters = [join(folder, "first"), join(folder, "second", "adapter"), relative];
    const loaded = await loadHostedModel(TINY_CHAT, { adapters }, fakeContext());
    const named = ({ name, directory }: LoadedAdapter) => [name, directory];
    expect(loaded.adapters.map(named)).toEqual([
      ["first", join(folder, "first", "adapter")],
      ["second", join(folder, "second", "adapter")],
    ]);
  });
});
