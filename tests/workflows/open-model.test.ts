import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeModel } from "../../src/workflows/node/open-model.js";
import { goldenPath } from "../support/golden.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lorikeet-open-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** What is told of a model of two blocks whose configuration is changed. */
async function noticesWith(change: Readonly<Record<string, unknown>>): Promise<string[]> {
  await cp(goldenPath("tiny-chat"), folder, { recursive: true });
  const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as object;
  await writeFile(join(folder, "config.json"), JSON.stringify({ ...config, ...change }));
  const notices: string[] = [];
  await describeModel(folder, { onNotice: (notice) => notices.push(notice) });
  return notices;
}

test("weights of layers that the configuration does not speak of are told, and others are not", async () => {
  expect(await noticesWith({})).toEqual([]);
  const [notice = "", ...others] = await noticesWith({ num_hidden_layers: 1 });
  expect(others).toEqual([]);
  expect(notice).toContain("9 weights of its layers are not read, because config.json does not speak of them, such as model.layers.1.");
  expect(notice).toContain("Do the two belong together?");
});
