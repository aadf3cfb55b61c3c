import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { checkRunFolder, makeRunFolder } from "../../src/workflows/node/run-folder.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lorikeet-run-folder-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function folderWith(name: string, files: Readonly<Record<string, string>>): Promise<string> {
  const path = join(root, name);
  await mkdir(path);
  for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text);
  return path;
}

test.each(["report.html", "report.json", "metrics.jsonl", "adapter", "last"])(
  "somebody's %s is refused by name and stays",
  async (file) => {
    const path = await folderWith(`with-${file}`, { [file]: "mine" });
    await expect(checkRunFolder(path, false)).rejects.toThrow(InputError);
    await expect(checkRunFolder(path, false)).rejects.toThrow(`${join(path, file)} is there already`);
    expect(await readFile(join(path, file), "utf8")).toBe("mine");
  },
);

test("a run with a checkpoint is refused, or resumed", async () => {
  const path = await folderWith("run", { "checkpoint.safetensors": "x", "metrics.jsonl": "kept" });
  await expect(checkRunFolder(path, false)).rejects.toThrow("holds a run already. Go on with it by --resume");
  await makeRunFolder(await checkRunFolder(path, true), true);
  expect(await readFile(join(path, "metrics.jsonl"), "utf8")).toBe("kept");
});

test("without a checkpoint there is nothing to resume", async () => {
  await expect(checkRunFolder(join(root, "nowhere"), true)).rejects.toThrow("there is no checkpoint to resume");
  expect(await readdir(root)).not.toContain("nowhere");
});

test("metrics of a run that ended before its first checkpoint go, other files stay", async () => {
  const path = await folderWith("early", { "run.yaml": "steps: 1", "metrics.jsonl": "old", "notes.txt": "mine" });
  await makeRunFolder(await checkRunFolder(path, false), false);
  expect((await readdir(path)).sort()).toEqual(["notes.txt", "run.yaml"]);
});

test("a file in the folder's place is said to be one", async () => {
  const path = join(root, "file");
  await writeFile(path, "mine");
  await expect(makeRunFolder(await checkRunFolder(path, false), false)).rejects.toThrow("is a file, not a folder");
});
