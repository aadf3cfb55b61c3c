import { copyFile, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { resolveAdapter } from "../../src/hub/node/resolve-adapter.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { runInspect } from "../../src/workflows/node/inspect-run.js";
import { fakeContext, TINY_CHAT } from "../workflows/support.js";
import { FakeHub } from "./fake-hub.js";

const commit = "ada97e5".padEnd(40, "0");
const quick = { patience: { connectMilliseconds: 20_000, stallMilliseconds: 20_000, retryMilliseconds: 5, retries: 2 } };
const own = join(TINY_CHAT, "adapter");
const files = ["adapter_config.json", "adapter_model.safetensors"] as const;

let root: string;
let hub: FakeHub;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "lorikeet-hub-"));
  hub = new FakeHub();
  await hub.start();
  const [config, weights] = await Promise.all(files.map((file) => readFile(join(own, file))));
  if (config === undefined || weights === undefined) throw new Error("the adapter of tiny-chat has two files");
  hub.repositories.set("org/adapter", {
    commit,
    files: {
      "adapter_config.json": config,
      "adapter_model.safetensors": weights,
      "adapter_model.bin": new Uint8Array(9),
      "training_args.bin": new Uint8Array(9),
      "other/adapter_config.json": config,
      "other/adapter_model.safetensors": weights,
    },
    large: ["adapter_model.safetensors"],
  });
  hub.repositories.set("org/named", { commit, files: { "fr/adapter_config.json": config, "fr/adapter_model.bin": new Uint8Array(9) } });
  vi.stubEnv("HF_ENDPOINT", hub.address);
  vi.stubEnv("HF_HOME", join(root, "hf"));
  for (const name of ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HF_TOKEN_PATH"])
    vi.stubEnv(name, "");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.stop();
  await rm(root, { recursive: true, force: true });
});

// Proves hub-adapter in: the files that it is, and no others, from a server that speaks the Hub's protocol
describe("an adapter of the Hub", () => {
  test("is fetched, the two files that it is, and read as a folder is", async () => {
    const folder = (await resolveAdapter("org/adapter", quick)) ?? "";
    expect(folder).toBe(join(root, "hf", "hub", "models--org--adapter", "snapshots", commit));
    expect(await readAdapterFolder(folder)).toEqual(await readAdapterFolder(own));
    expect(hub.paths.filter((path) => path.includes("/resolve/")).map((path) => path.split("/").at(-1))).toEqual([...files]);
    hub.seen.length = 0;
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect(await resolveAdapter("org/adapter", quick)).toBe(folder);
    expect(hub.seen).toEqual([]);
    await expect(resolveAdapter("org/named/fr", quick)).rejects.toThrow("org/named is not in the cache");
  });

  test("in a folder of a repository, and by a commit", async () => {
    expect(await resolveAdapter("org/adapter/other", quick)).toMatch(/other$/);
    expect(await resolveAdapter(`org/adapter@${commit}`, quick)).toMatch(new RegExp(`${commit}$`));
    await expect(resolveAdapter("org/named", quick)).rejects.toThrow(/org\/named has no adapter: .* are needed\.$/);
    await expect(resolveAdapter("org/named/de", quick)).rejects.toThrow("There are adapters in its folders fr: give one behind its name.");
    await expect(resolveAdapter("org/adapter@v9", quick)).rejects.toThrow("has no adapter org/adapter (or not that revision)");
    await expect(resolveAdapter("org/none", quick)).rejects.toThrow("the name is wrong, or the adapter is private or gated");
    expect(await resolveAdapter("./org/adapter", quick)).toBeUndefined();
  });

  test("is not fetched on where a command is asked to stop", async () => {
    const stopped = AbortSignal.abort(new DOMException("interrupted", "AbortError"));
    await expect(runInspect({ directory: "org/adapter" }, fakeContext(stopped))).rejects.toThrow("interrupted");
    expect(hub.paths.filter((path) => path.includes("/resolve/"))).toEqual([]);
  });

  test("is taken by commands in place of a folder; a folder of that name comes first", async () => {
    const context = fakeContext();
    const inspected = await runInspect({ directory: "org/adapter" }, context);
    expect(context.events).toContainEqual(expect.objectContaining({ task: "downloading adapter_model.safetensors", unit: "bytes" }));
    const local = await runInspect({ directory: own }, fakeContext());
    expect(inspected.layers).toEqual(local.layers);
    await expect(runInspect({ directory: "org/none" }, fakeContext())).rejects.toThrow(
      /^org\/none does not exist here, and as the name of an adapter on the Hub: /,
    );
    hub.seen.length = 0;
    await mkdir(join(root, "org", "adapter"), { recursive: true });
    for (const file of files) await copyFile(join(own, file), join(root, "org", "adapter", file));
    const before = process.cwd();
    try {
      process.chdir(root);
      await runInspect({ directory: "org/adapter" }, fakeContext());
    } finally {
      process.chdir(before);
    }
    expect(hub.seen).toEqual([]);
  });
});
