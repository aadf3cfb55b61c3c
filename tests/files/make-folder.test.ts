import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeFolder } from "../../src/files/node/make-folder.js";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lorikeet-folder-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("folders above are made too, also by several at once", async () => {
  const deep = join(folder, "a/b/c");
  await Promise.all([makeFolder(deep), makeFolder(join(deep, "d")), makeFolder(deep)]);
  await makeFolder(deep);
  expect(statSync(join(deep, "d")).isDirectory()).toBe(true);
});

test("a file in the way is an error", async () => {
  writeFileSync(join(folder, "file"), "");
  await expect(makeFolder(join(folder, "file"))).rejects.toMatchObject({ code: "EEXIST" });
  await expect(makeFolder(join(folder, "file/under"))).rejects.toMatchObject({ code: "ENOTDIR" });
});

test.skipIf(!existsSync("/proc/self"))("where nothing can be made, it ends", async () => {
  await expect(makeFolder("/proc/lorikeet/run")).rejects.toMatchObject({ code: "ENOENT" });
});
