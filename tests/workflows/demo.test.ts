import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { InputError } from "../../src/errors.js";
import type { TrainEvent } from "../../src/workflows/api.js";
import { assetPath } from "../../src/workflows/node/assets.js";
import { demo } from "../../src/workflows/node/demo.js";
import { checkRunFolder } from "../../src/workflows/node/run-folder.js";
import type { TrainingRequest } from "../../src/workflows/node/training/run.js";
import { checkOptions, inCode, trainSet } from "../../src/workflows/options.js";
import { temporaryFolder } from "./support.js";

// The demo up to its training, which here only says what it was asked for and finds its folder as the real one would.

const requests: TrainingRequest[] = [];
vi.mock("../../src/workflows/node/train.js", () => ({
  async *runInWorker(request: TrainingRequest): AsyncGenerator<TrainEvent> {
    requests.push(request);
    yield { type: "warning", message: "from the run" };
  },
}));
beforeEach(() => void requests.splice(0));

async function runDemo(options: Parameters<typeof demo>[0]): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of demo(options)) events.push(event);
  return events;
}

/** A folder with files, some of them in folders of their own. */
async function folderWith(files: Readonly<Record<string, string>>): Promise<string> {
  const path = await temporaryFolder();
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(path, name, ".."), { recursive: true });
    await writeFile(join(path, name), text);
  }
  return path;
}

/** What a finished run leaves, and beside it a file of the person's. */
const finishedRun = (data: string) => ({
  "run.yaml": stringify({ model: "smollm2-135m", data }),
  "metrics.jsonl": "{}\n",
  "checkpoint.safetensors": "x",
  "report.html": "x",
  "report.json": "{}",
  "adapter/adapter_config.json": "{}",
  "adapter/adapter_model.safetensors": "x",
  "last/adapter_model.safetensors": "x",
  "notes.txt": "mine",
});
const demoData = assetPath("demo/cron-train.jsonl");

describe("what the demo asks of a training run", () => {
  test("is valid options, its own data, and a time limit", async () => {
    const out = join(await temporaryFolder(), "run");
    for (const quick of [true, false]) expect(await runDemo({ out, quick })).toEqual([{ type: "warning", message: "from the run" }]);
    expect(requests).toHaveLength(2);
    for (const { options, target, withinSeconds } of requests) {
      expect(checkOptions(trainSet, options, inCode)).toMatchObject({ model: "smollm2-135m", data: demoData, out });
      expect(target).toEqual({ kind: "cron", file: assetPath("demo/cron-test.jsonl") });
      expect(withinSeconds).toBeLessThan(10 * 60);
    }
    expect(requests.map(({ options }) => options)).toEqual([
      expect.objectContaining({ steps: expect.any(Number) }),
      expect.objectContaining({ epochs: expect.any(Number) }),
    ]);
  });
});

describe("the folder of the demo", () => {
  test("is cleared of an earlier demo, and of nothing else", async () => {
    const out = await folderWith(finishedRun(demoData));
    await runDemo({ out });
    expect(await readdir(out)).toEqual(["notes.txt"]);
    await expect(checkRunFolder(out, false)).resolves.toMatchObject({ path: out });
  });

  test("may be new or empty", async () => {
    const empty = await temporaryFolder();
    await runDemo({ out: empty });
    await runDemo({ out: join(empty, "new") });
    expect(requests).toHaveLength(2);
  });

  test.each([
    ["another run", finishedRun("people.jsonl")],
    ["other files", { "report.html": "mine" }],
    ["options that are no record", { "run.yaml": "- data", "adapter/adapter_model.safetensors": "mine" }],
  ])("is refused with %s, and keeps every file", async (_what, files) => {
    const out = await folderWith(files);
    const refused = runDemo({ out });
    await expect(refused).rejects.toThrow(`${out} exists and was not made by the demo. Give another folder with --out.`);
    await expect(refused).rejects.toThrow(InputError);
    for (const [name, text] of Object.entries(files)) expect(await readFile(join(out, name), "utf8")).toBe(text);
    expect(requests).toEqual([]);
  });
});
