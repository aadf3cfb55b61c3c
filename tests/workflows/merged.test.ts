import { readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate, type LanguageModel, loadModel } from "lorikeet";
import { expect, test } from "vitest";
import { TINY_CHAT } from "./support.js";

const adapters = [join(TINY_CHAT, "adapter")];

async function answer(model: LanguageModel): Promise<string> {
  let text = "";
  for await (const piece of generate(model, { prompt: "What is the capital of France?", maxNewTokens: 24 })) text += piece;
  return text;
}

async function mergedFolders(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith("lorikeet-merged-"));
}

test("a model with its adapter folded in says what it says beside it, and leaves nothing behind", async () => {
  const before = await mergedFolders();
  const beside = await loadModel(TINY_CHAT, { adapters });
  const folded = await loadModel(TINY_CHAT, { adapters, merged: true });
  expect(folded.adapters).toEqual(beside.adapters);
  const [unmerged, merged] = [await answer(beside), await answer(folded)];
  expect(unmerged).not.toBe("");
  expect(merged).toBe(unmerged);
  if (process.platform === "linux") expect(await readFile("/proc/self/maps", "utf8")).toContain("lorikeet-merged-");

  await beside.dispose();
  await folded.dispose();
  // With the worker its sessions have ended, so that Windows, too, lets the folder go.
  if (process.platform === "linux") expect(await readFile("/proc/self/maps", "utf8")).not.toContain("lorikeet-merged-");
  expect(await mergedFolders()).toEqual(before);
});

test("a failed loading leaves nothing behind", async () => {
  const before = await mergedFolders();
  await expect(loadModel(TINY_CHAT, { adapters: ["no such folder"], merged: true })).rejects.toThrow("no such folder does not exist");
  expect(await mergedFolders()).toEqual(before);
});
